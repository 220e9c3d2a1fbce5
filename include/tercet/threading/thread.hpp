#pragma once

#include <tercet/threading/thread_handle.hpp>
#include <tercet/threading/thread_ident.hpp>

#include <concepts>
#include <cstddef>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

namespace tercet::threading {

/// What a `thread` is started with.
struct thread_options {
    std::string name = {};       ///< empty: Thread-1, Thread-2, …; the system keeps 15 characters
    bool daemon = false;         ///< does not hold up the end of the process; destroying its `thread` lets it run on
    std::size_t stack_size = 0;  ///< in bytes; 0: the system's default
};

/// A thread that runs a call. It begins with `start()`, and ends at the latest with this object, which asks it to stop
/// and waits for it. What leaves the function comes out of `join`, or goes to the excepthook.
///
/// The end of the process (return from `main`, `std::exit`) asks all threads to stop that are not daemons and still
/// run, because their objects are static or were never destroyed, and waits for them. Daemons run on until the process
/// is gone, as all threads do when `_exit` or a signal ends it.
///
///     thread worker({.name = "worker"}, [](std::stop_token stop, int port) { ... }, 8080);
///     worker.start();
class thread : public thread_handle {
public:
    /// Will call `fn(args...)`, copies of both, with a `std::stop_token` in front of the arguments if `fn` takes one.
    template <class Fn, class... Args>
        requires(!std::same_as<std::remove_cvref_t<Fn>, thread> &&
                 !std::same_as<std::remove_cvref_t<Fn>, thread_options>)
    explicit thread(Fn&& fn, Args&&... args)
        : thread(thread_options{}, std::forward<Fn>(fn), std::forward<Args>(args)...) {}
    template <class Fn, class... Args>
    explicit thread(thread_options options, Fn&& fn, Args&&... args)
        : thread(std::move(options), make_body(std::forward<Fn>(fn), std::forward<Args>(args)...), body_tag{}) {}

    thread(thread&& other) noexcept = default;
    thread& operator=(thread&& other) noexcept;
    /// Requests a stop and waits for the thread; lets a daemon go. Does neither on the thread itself.
    ~thread();

    /// Throws `invalid_state_error` when it was started before, `std::system_error` when the system has no thread to
    /// give; then it was not started.
    void start();

private:
    struct body_tag {};
    using body_type = std::move_only_function<void(std::stop_token)>;

    template <class Fn, class... Args>
    static body_type make_body(Fn&& fn, Args&&... args) {
        return [fn = std::decay_t<Fn>(std::forward<Fn>(fn)),
                values = std::tuple<std::decay_t<Args>...>(std::forward<Args>(args)...)](std::stop_token stop) mutable {
            std::apply(
                [&](auto&... each) {
                    if constexpr (std::is_invocable_v<std::decay_t<Fn>, std::stop_token, std::decay_t<Args>...>)
                        std::invoke(std::move(fn), std::move(stop), std::move(each)...);
                    else
                        std::invoke(std::move(fn), std::move(each)...);
                },
                values);
        };
    }
    thread(thread_options options, body_type body, body_tag);
    void end() noexcept;
};

}  // namespace tercet::threading
