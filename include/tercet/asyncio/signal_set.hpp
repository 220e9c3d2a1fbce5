#pragma once

#include <tercet/asyncio/suspension.hpp>

#include <cstddef>
#include <initializer_list>
#include <memory>
#include <vector>

namespace tercet::asyncio {

/// Signals of the process that a coroutine waits for, instead of what they would do otherwise:
///
///     signal_set stop{SIGINT, SIGTERM};
///     const int which = co_await stop.next();
///
/// As long as a set lives, its signals do nothing but go to the sets, of any loop, that contain them, and to the
/// handlers of `event_loop::add_signal_handler`; what was to be done about a signal before comes back with the end of
/// the last of them. A signal that comes again before it was taken is the same one: as in the kernel, they are not
/// counted. Threads need not block anything. The child of a fork starts without: there signals do what they did before.
///
/// The loop's thread.
class signal_set {
public:
    class next_awaiter final : public suspension {
    public:
        explicit next_awaiter(signal_set& owner) noexcept : owner_(owner) {}
        int await_resume() const {
            throw_if_cancelled();
            return number_;
        }

    private:
        friend class signal_set;
        bool begin() noexcept override;
        bool abandon() noexcept override;

        signal_set& owner_;
        next_awaiter* previous_ = nullptr;
        next_awaiter* next_ = nullptr;
        int number_ = 0;
    };

    /// Listens on the running loop, at once. Throws `invalid_state_error` outside a loop, `std::system_error` for what
    /// cannot be handled ("handle signal 9: Invalid argument"), and `std::invalid_argument` for what is no signal and
    /// for those that faults raise.
    signal_set(std::initializer_list<int> numbers);
    signal_set(const signal_set&) = delete;
    signal_set& operator=(const signal_set&) = delete;
    /// Nobody waits any more. A signal that nobody took is dropped.
    ~signal_set();

    /// The next signal: its number, the oldest first. When several wait, each signal goes to the first in line. Throws
    /// `cancelled_error`. Cancel safety: a signal that was not delivered stays for the next.
    [[nodiscard]] next_awaiter next() noexcept { return next_awaiter(*this); }

private:
    class subscriptions;

    void unlink(next_awaiter& leaving) noexcept;

    next_awaiter* first_ = nullptr;
    next_awaiter* last_ = nullptr;
    std::vector<int> untaken_;  // empty while anybody waits
    std::unique_ptr<subscriptions> subscriptions_;
};

}  // namespace tercet::asyncio
