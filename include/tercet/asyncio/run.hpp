#pragma once

#include <tercet/asyncio/cancel_on_interrupt.hpp>
#include <tercet/asyncio/coro.hpp>
#include <tercet/asyncio/event_loop.hpp>
#include <tercet/asyncio/task.hpp>

#include <source_location>
#include <utility>

namespace tercet::asyncio {

/// Throws `invalid_state_error` when a loop runs on this thread.
void require_no_running_loop(const char* call);

/// `main`, to be cancelled by SIGINT if that is asked for.
template <class T>
coro<T> interruptible_if(bool is_asked_for, coro<T> main) {
    return is_asked_for ? cancel_on_interrupt(std::move(main)) : std::move(main);
}

/// Runs `main` on a new event loop on this thread and returns its result. Tasks that are left when it ends are
/// cancelled and awaited, their errors reported. Throws what `main` threw, `invalid_state_error` inside a running loop,
/// `std::system_error` when there are no descriptors left, and `keyboard_interrupt` when SIGINT has ended `main` and
/// `options.handle_interrupt` is set. Any thread.
template <class T>
T run(coro<T> main, loop_options options = {}, std::source_location where = std::source_location::current()) {
    require_no_running_loop("run");
    event_loop loop(options);
    task<T> root =
        create_task_on(loop, interruptible_if(options.handle_interrupt, std::move(main)), {.name = "main"}, where);
    loop.run_until_done(root.state());
    loop.close();
    return std::move(root).result();
}

}  // namespace tercet::asyncio
