#pragma once

#include <tercet/asyncio/cancel_scope.hpp>
#include <tercet/asyncio/coro.hpp>
#include <tercet/asyncio/event_loop.hpp>
#include <tercet/asyncio/task.hpp>
#include <tercet/asyncio/timer_queue.hpp>
#include <tercet/futures/errors.hpp>
#include <tercet/futures/future.hpp>
#include <tercet/futures/shared_future.hpp>
#include <tercet/futures/time_limit.hpp>

#include <concepts>
#include <type_traits>
#include <utility>

namespace tercet::asyncio {

/// A cancel scope that is cancelled at a moment, unless it ends before. Lives in a coroutine. The loop's thread.
class deadline_scope : private timer_node {
public:
    using time_point = event_loop::time_point;

    /// `time_point::max()` is no deadline. Throws as `cancel_scope` does.
    explicit deadline_scope(time_point deadline);
    /// The limit counts from now.
    explicit deadline_scope(time_limit limit);
    ~deadline_scope();

    /// The deadline had passed when the scope began.
    bool was_too_late() const noexcept { return was_too_late_; }
    /// The deadline; `time_point::max()` when there is none.
    time_point when() const noexcept { return when_; }
    /// Moves the deadline; one that has passed expires at once, `time_point::max()` is none. Throws
    /// `invalid_state_error` when the scope has expired.
    void reschedule(time_point deadline);
    /// The same, `limit` from now.
    void reschedule(time_limit limit) { reschedule(limit.deadline(loop_.time())); }
    /// The deadline has passed, whether or not anything noticed.
    bool expired() const noexcept { return scope_.cancel_called(); }
    /// The deadline has passed, and nothing around the scope is cancelled: the cancellation is ours.
    bool has_expired() const noexcept { return scope_.cancel_called() && !scope_.is_cancelled_outside(); }
    /// Throws `timeout_error`, or `cancelled_error` when the code around the scope is cancelled as well.
    [[noreturn]] void throw_timeout() const;

private:
    void start(time_point deadline, time_point now) noexcept;
    static void expire(timer_node& self) noexcept { static_cast<deadline_scope&>(self).scope_.cancel(); }

    cancel_scope scope_;
    event_loop& loop_;
    time_point started_;
    time_point when_;
    bool was_too_late_;
};

/// What is called with the scope of its deadline, and returns a coroutine.
template <class Body>
concept body_of_deadline = std::invocable<Body&, deadline_scope&>;

/// The body of `timeout` and `timeout_at`.
template <class Limit, class Awaitable>
coro<typename Awaitable::value_type> await_within(Limit limit, Awaitable body) {
    deadline_scope scope(limit);
    constexpr bool can_be_done = requires { body.done(); };
    if (!can_be_done && scope.was_too_late()) scope.throw_timeout();
    try {
        co_return co_await std::move(body);
    } catch (const cancelled_error&) {
        if (!scope.has_expired()) throw;
    }
    scope.throw_timeout();
}

template <class Limit, body_of_deadline Body>
coro<typename std::invoke_result_t<Body&, deadline_scope&>::value_type> await_within(Limit limit, Body body) {
    deadline_scope scope(limit);
    if (scope.was_too_late()) scope.throw_timeout();
    try {
        auto work = body(scope);
        co_return co_await std::move(work);
    } catch (const cancelled_error&) {
        if (!scope.has_expired()) throw;
    }
    scope.throw_timeout();
}

/// Awaits `body` until `deadline`, in the same task. When that passes, the waits of `body` throw `cancelled_error`;
/// when it has ended by that, `timeout_error` is thrown. A result that it has nevertheless is delivered, another error
/// of it is thrown, and a cancellation from outside stays one. With a deadline that has passed a coroutine does not
/// begin. Cancel safety: that of `body`.
template <class T>
coro<T> timeout_at(event_loop::time_point deadline, coro<T> body) {
    return await_within(deadline, std::move(body));
}

/// The same, `limit` from the moment at which it is awaited: `co_await timeout(2s, fetch(url))`.
template <class T>
coro<T> timeout(time_limit limit, coro<T> body) {
    return await_within(limit, std::move(body));
}

/// The same for a task or a future. One that is done gives its result, whatever the limit; otherwise it is cancelled
/// when the time is up. A task is awaited until it has ended by that; a shared future goes on, since others may wait.
template <class T>
coro<T> timeout(time_limit limit, task<T> awaited) {
    return await_within(limit, std::move(awaited));
}
template <class T>
coro<T> timeout(time_limit limit, future<T> awaited) {
    return await_within(limit, std::move(awaited));
}
template <class T>
coro<T> timeout(time_limit limit, shared_future<T> awaited) {
    return await_within(limit, std::move(awaited));
}
template <class T>
coro<T> timeout_at(event_loop::time_point deadline, task<T> awaited) {
    return await_within(deadline, std::move(awaited));
}
template <class T>
coro<T> timeout_at(event_loop::time_point deadline, future<T> awaited) {
    return await_within(deadline, std::move(awaited));
}
template <class T>
coro<T> timeout_at(event_loop::time_point deadline, shared_future<T> awaited) {
    return await_within(deadline, std::move(awaited));
}

/// The same for the coroutine that `body` returns; it may move its deadline:
///
///     auto work = [&](deadline_scope& limit) -> coro<> {
///         while (co_await receive()) limit.reschedule(2s);
///     };
///     co_await timeout(2s, work);
template <body_of_deadline Body>
auto timeout(time_limit limit, Body body) {
    return await_within(limit, std::move(body));
}
template <body_of_deadline Body>
auto timeout_at(event_loop::time_point deadline, Body body) {
    return await_within(deadline, std::move(body));
}

}  // namespace tercet::asyncio
