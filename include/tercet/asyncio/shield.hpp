#pragma once

#include <tercet/asyncio/cancel_scope.hpp>
#include <tercet/asyncio/coro.hpp>
#include <tercet/asyncio/event_loop.hpp>
#include <tercet/asyncio/task.hpp>
#include <tercet/asyncio/timer_queue.hpp>
#include <tercet/futures/future.hpp>
#include <tercet/futures/shared_future.hpp>
#include <tercet/futures/time_limit.hpp>

#include <utility>

namespace tercet::asyncio {

/// A scope that holds cancellations from outside off for a while. Lives in a coroutine.
class bounded_shield : private timer_node {
public:
    /// `bound` counts from now. Throws `std::invalid_argument` when there is none, and as `cancel_scope` does.
    explicit bounded_shield(time_limit bound);
    ~bounded_shield();

private:
    static void expire(timer_node& self) noexcept { static_cast<bounded_shield&>(self).scope_.set_shield(false); }

    event_loop& loop_;
    cancel_scope scope_;
};

template <class Awaitable>
coro<typename Awaitable::value_type> await_shielded(time_limit bound, Awaitable body) {
    const bounded_shield shield(bound);
    co_return co_await std::move(body);
}

/// Awaits `body` in the same task while cancellations from outside wait, for at most `bound` from the moment at which
/// it is awaited; then they arrive, those that came before too. For clean-up, and for steps that must not stop in the
/// middle:
///
///     co_await shield(2s, commit(transaction));
///
/// Throws what `body` throws, `std::invalid_argument` when there is no bound, and `cancelled_error`. Cancel safety: a
/// result that `body` has is delivered, and the next wait outside throws; when the bound has passed, that of `body`.
/// The loop's thread.
template <class T>
coro<T> shield(time_limit bound, coro<T> body) {
    return await_shielded(bound, std::move(body));
}
/// The same for a task or a future: a cancellation of the one who awaits does not reach it before `bound` has passed,
/// and a shared future not even then. Throws as above, with what the task or the work threw. When the task
/// or the future itself is cancelled, this throws `cancelled_error`.
template <class T>
coro<T> shield(time_limit bound, task<T> awaited) {
    return await_shielded(bound, std::move(awaited));
}
template <class T>
coro<T> shield(time_limit bound, future<T> awaited) {
    return await_shielded(bound, std::move(awaited));
}
template <class T>
coro<T> shield(time_limit bound, shared_future<T> awaited) {
    return await_shielded(bound, std::move(awaited));
}

}  // namespace tercet::asyncio
