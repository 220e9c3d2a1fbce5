#pragma once

#include <tercet/asyncio/coro.hpp>
#include <tercet/asyncio/event_loop.hpp>
#include <tercet/asyncio/task.hpp>

#include <source_location>
#include <utility>

namespace tercet::asyncio {

/// Throws `invalid_state_error` when a loop runs on this thread.
void require_no_running_loop(const char* call);

/// Runs `main` on a new event loop on this thread and returns its result. Tasks that are left when it ends are
/// cancelled and awaited, their errors reported. Throws what `main` threw, and `invalid_state_error` inside a running
/// loop.
template <class T>
T run(coro<T> main, loop_options options = {}, std::source_location where = std::source_location::current()) {
    require_no_running_loop("run");
    event_loop loop(options);
    task<T> root = create_task_on(loop, std::move(main), {.name = "main"}, where);
    loop.run_until_done(root.state());
    loop.close();
    return std::move(root).result();
}

}  // namespace tercet::asyncio
