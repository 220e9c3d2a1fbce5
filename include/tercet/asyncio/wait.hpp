#pragma once

#include <tercet/asyncio/coro.hpp>
#include <tercet/asyncio/task_watch.hpp>
#include <tercet/futures/wait.hpp>

#include <utility>
#include <vector>

namespace tercet::asyncio {

/// The tasks that were waited for, each once, in the order in which they were given.
template <class Task>
struct wait_result {
    std::vector<Task> done;
    std::vector<Task> not_done;
};

template <class Task>
coro<wait_result<Task>> wait_for_tasks(std::vector<Task> tasks, wait_options options) {
    const auto deadline = options.timeout.deadline(get_running_loop().time());
    wait_result<Task> result;
    std::vector<Task> all;
    {
        task_watch watch(tasks.size(), options.return_when);
        for (Task& each : tasks)
            if (watch.add(each.state())) all.push_back(std::move(each));
        co_await task_watch::wait(watch, deadline);
    }
    for (Task& each : all) (each.done() ? result.done : result.not_done).push_back(std::move(each));
    co_return result;
}

/// Waits for several tasks: until one is done, one has failed or was cancelled, or all are done
/// (`options.return_when`), at most `options.timeout` from the moment at which it is awaited:
///
///     auto [done, not_done] = co_await wait(tasks, {.return_when = return_when::first_completed, .timeout = 2s});
///
/// Throws nothing for a task that failed, nor when the time is up: look at the tasks. Throws `cancelled_error`, and
/// `invalid_state_error` for a task of another loop. Cancel safety: leaves the tasks as they are.
template <range_of_tasks Range>
auto wait(Range&& tasks, wait_options options = {}) {
    using task_type = std::ranges::range_value_t<Range>;
    return wait_for_tasks(std::vector<task_type>(std::ranges::begin(tasks), std::ranges::end(tasks)), options);
}

}  // namespace tercet::asyncio
