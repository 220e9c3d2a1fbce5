#pragma once

#include <tercet/asyncio/context.hpp>
#include <tercet/asyncio/coro.hpp>
#include <tercet/asyncio/event_loop.hpp>
#include <tercet/asyncio/run.hpp>
#include <tercet/asyncio/task.hpp>

#include <source_location>
#include <utility>

namespace tercet::asyncio {

/// An event loop on which several main coroutines run, one after the other: Python's Runner. Tasks that one leaves
/// stand still until the next; what one sets in a `context_var`, the next sees. One thread.
class runner {
public:
    /// Throws `std::system_error` when there are no descriptors left. The values of `context_var`s are those of now.
    explicit runner(loop_options options = {})
        : loop_(options), context_(context::current()), handles_interrupt_(options.handle_interrupt) {}
    runner(const runner&) = delete;
    runner& operator=(const runner&) = delete;
    /// Closes.
    ~runner() = default;

    /// Runs `main` and returns its result. Throws what `main` threw, and `invalid_state_error` inside a running loop
    /// and after `close`; `keyboard_interrupt` when SIGINT has ended it and `handle_interrupt` is set;
    /// `std::system_error` when io_uring is refused to the thread and the loop has run on another.
    template <class T>
    T run(coro<T> main, std::source_location where = std::source_location::current()) {
        require_no_running_loop("runner::run");
        loop_.attach();
        coro<T> work = interruptible_if(handles_interrupt_, std::move(main));
        task<T> root = create_task_on(loop_, std::move(work), {.name = "main", .context = &context_}, where);
        loop_.run_until_done(root.state());
        context_ = root.context();
        return std::move(root).result();
    }

    /// Cancels the tasks that are left and awaits them, as the end of `run` does.
    void close() noexcept { loop_.close(); }

    /// The loop, which lives as long as the runner.
    event_loop& get_loop() noexcept { return loop_; }

private:
    event_loop loop_;
    context context_;
    bool handles_interrupt_;
};

}  // namespace tercet::asyncio
