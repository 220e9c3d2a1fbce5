#pragma once

#include <tercet/futures/time_limit.hpp>
#include <tercet/threading/event.hpp>
#include <tercet/threading/thread.hpp>

#include <functional>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

namespace tercet::threading {

/// Calls a function once, on a thread of its own, when an interval has passed since `start()`.
///
///     timer alarm(5s, [] { ... });
///     alarm.start(); ...
///     alarm.cancel();
class timer {
public:
    /// Will call `fn(args...)`, copies of both. Throws `std::invalid_argument` for a negative interval.
    template <class Fn, class... Args>
    explicit timer(time_limit interval, Fn&& fn, Args&&... args)
        : timer(interval, std::move_only_function<void()>([fn = std::decay_t<Fn>(std::forward<Fn>(fn)),
                                                           values = std::tuple<std::decay_t<Args>...>(
                                                               std::forward<Args>(args)...)]() mutable {
                    std::apply([&](auto&... each) { std::invoke(std::move(fn), std::move(each)...); }, values);
                })) {}
    explicit timer(time_limit interval, std::move_only_function<void()> call);
    timer(const timer&) = delete;
    timer& operator=(const timer&) = delete;
    /// Cancels, and waits for a call that has begun.
    ~timer() { cancel(); }

    /// Throws as `thread::start`.
    void start() { thread_.start(); }
    /// The function will not be called, unless it already is. Any thread.
    void cancel() noexcept { cancelled_->set(); }
    /// Waits for the end of the call, or of the timer when it was cancelled. As `thread::join`.
    bool join(time_limit limit = {}) { return thread_.join(limit); }
    /// Started, and neither cancelled nor done.
    bool is_alive() const noexcept { return thread_.is_alive(); }

private:
    std::shared_ptr<event> cancelled_;
    thread thread_;
};

}  // namespace tercet::threading
