#pragma once

#include <tercet/futures/time_limit.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

namespace tercet::threading {

class thread_state;

/// A thread as others see it: what `enumerate` lists and `current_thread` returns. A copy is the same thread; two
/// handles are equal when they mean the same one. Any thread may use it.
class thread_handle {
public:
    explicit thread_handle(std::shared_ptr<thread_state> state) noexcept : state_(std::move(state)) {}

    std::string name() const;
    /// Changes the name; the system keeps its first 15 characters.
    void set_name(std::string name);
    /// Its number, as `get_ident` gives it there. Zero before it was started.
    std::uint64_t ident() const noexcept;
    /// Its number in the kernel. Zero before it runs.
    int native_id() const noexcept;
    /// Does not hold up the end of the process.
    bool daemon() const noexcept;
    /// It was started and its function has not returned.
    bool is_alive() const noexcept;
    /// It was not started by this module, and is known because it called `current_thread`.
    bool is_dummy() const noexcept;

    /// Asks a thread whose function takes a `std::stop_token` to stop; false when that was asked already.
    bool request_stop() noexcept;

    /// Waits up to `limit` until the function has returned; the thread itself is then gone, too, unless it is a daemon
    /// whose `thread` is. Returns whether it has. The first `join` that finds an exception which left the function
    /// throws it; later ones do not. Throws `invalid_state_error` when the thread was not started, is the calling
    /// thread, or is none of this module.
    bool join(time_limit limit = {});

    friend bool operator==(const thread_handle& a, const thread_handle& b) noexcept { return a.state_ == b.state_; }

protected:
    std::shared_ptr<thread_state> state_;
};

/// All threads that are alive: the main thread, those of this module, and foreign ones that have called
/// `current_thread`, in the order in which they became known. Any thread.
std::vector<thread_handle> enumerate();
/// How many they are: the size of what `enumerate` returns. Any thread.
std::size_t active_count();

/// The calling thread. A foreign one becomes known as a dummy thread, until it ends.
thread_handle current_thread();

/// The thread in which `main` runs; in the child of a fork, the one that forked.
thread_handle main_thread();

/// What left the function of a thread without anybody joining it.
struct excepthook_args {
    std::exception_ptr error;
    thread_handle thread;
};

/// See `set_excepthook`.
using excepthook_type = std::function<void(const excepthook_args&)>;

/// Installs `hook` for exceptions that leave a thread's function and that no `join` took: called once for each, when
/// the `thread` is destroyed, or, if that is gone, at the end of the thread. Returns the hook before; an empty one
/// stands for the first, which reports through `report_unread_error`. What the hook throws is reported there, together
/// with what it was called for. Any thread.
excepthook_type set_excepthook(excepthook_type hook);

}  // namespace tercet::threading
