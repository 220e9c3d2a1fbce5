#pragma once

#include <tercet/asyncio/capacity_limiter.hpp>
#include <tercet/asyncio/coro.hpp>
#include <tercet/asyncio/event_loop.hpp>
#include <tercet/asyncio/loop_future_awaiter.hpp>
#include <tercet/asyncio/task.hpp>
#include <tercet/asyncio/thread_body.hpp>
#include <tercet/asyncio/wait.hpp>
#include <tercet/futures/job.hpp>

#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

namespace tercet::asyncio {

/// See `to_thread`.
struct to_thread_options {
    /// A cancellation does not wait for a call that runs: its result is dropped. The end of the loop waits for it all
    /// the same. Only for calls that refer to nothing of the caller's.
    bool abandon_on_cancel = false;
    /// How many calls may run at once is up to it: the call has a token of it from before it begins until it has ended,
    /// also when it was abandoned. Must outlive the call. Null: only the number of threads counts.
    capacity_limiter* limiter = nullptr;
};

/// Hands `work` to the loop's threads for blocking calls; takes it over even when it throws `std::system_error`.
void submit_to_thread(event_loop& loop, job& work);

/// Runs `fn(args...)`, which blocks, on a thread of the loop's own (at most 32), and awaits the result; the loop goes
/// on meanwhile. The call sees the `context_var`s of the task, and `from_thread` leads it back into the loop. Throws
/// what `fn` throws, `std::system_error` when no thread can be started, and `cancelled_error`. Cancel safety: a call
/// that has not begun does not; one that runs is asked to stop if it takes a `std::stop_token`, and the wait lasts
/// until it has ended: a result that it has nevertheless is delivered.
template <class Fn, class... Args>
    requires(!std::is_same_v<Fn, to_thread_options>)
coro<call_result_t<Fn, Args...>> to_thread(Fn fn, Args... args) {
    event_loop& loop = get_running_loop();
    auto [work, result] = make_call(thread_body<Fn>(std::move(fn), loop), std::move(args)...);
    submit_to_thread(loop, *work);
    co_return co_await joined_future(std::move(result));
}

/// Has `token` until the call has ended, whoever waits for that.
template <class T>
coro<T> hold_during_call([[maybe_unused]] capacity_limiter::token token, future<T> result) {
    co_return co_await joined_future(std::move(result));
}

/// Awaits `held`, which goes on by itself, but is asked to stop, when the wait is cancelled.
template <class T>
coro<T> left_when_cancelled(task<T> held) {
    const std::vector<task<T>> only{held};
    try {
        co_await wait(only);
    } catch (const cancelled_error&) {
        held.state().mark_read();
        held.cancel();
        throw;
    }
    co_return co_await std::move(held);
}

/// The same with options: `co_await to_thread({.abandon_on_cancel = true}, fn, x)`.
template <class Fn, class... Args>
coro<call_result_t<Fn, Args...>> to_thread(to_thread_options options, Fn fn, Args... args) {
    event_loop& loop = get_running_loop();
    std::optional<capacity_limiter::token> token;
    if (options.limiter) {
        auto borrowed = co_await options.limiter->scoped_for_call();
        token.emplace(std::move(borrowed));
    }
    auto [work, result] = make_call(thread_body<Fn>(std::move(fn), loop), std::move(args)...);
    submit_to_thread(loop, *work);
    if (!options.abandon_on_cancel) co_return co_await joined_future(std::move(result));
    if (!token) co_return co_await std::move(result);
    auto held = create_task(hold_during_call(std::move(*token), std::move(result)), {.eager_start = true});
    co_return co_await left_when_cancelled(std::move(held));
}

}  // namespace tercet::asyncio
