#pragma once

#include <tercet/asyncio/cancel_scope.hpp>
#include <tercet/asyncio/coro.hpp>
#include <tercet/futures/executor.hpp>
#include <tercet/futures/job.hpp>

#include <type_traits>
#include <utility>

namespace tercet::asyncio {

/// Runs `fn(args...)` in `pool`, of threads or of processes, and awaits the result; the loop goes on meanwhile. `pool`
/// must outlive the wait, and its `submit` should not block: that would hold up the loop. Throws what `fn` throws, and
/// `cancelled_error`. Cancel safety: a call that has not begun does not, and in a task that is cancelled already none
/// is submitted; one that runs is asked to stop if it takes a `std::stop_token`, and its result is dropped.
template <executor Pool, class Fn, class... Args>
coro<call_result_t<Fn, Args...>> run_in_executor(Pool& pool, Fn fn, Args... args) {
    checkpoint_if_cancelled();
    auto result = pool.submit(std::move(fn), std::move(args)...);
    co_return co_await std::move(result);
}

}  // namespace tercet::asyncio
