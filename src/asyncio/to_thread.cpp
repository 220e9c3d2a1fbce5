#include <tercet/asyncio/task_base.hpp>
#include <tercet/asyncio/to_thread.hpp>
#include <tercet/futures/errors.hpp>

#include <string>

#include "asyncio/blocking_threads.hpp"

namespace tercet::asyncio {

namespace {

constinit thread_local event_loop* loop_of_this_thread = nullptr;

}  // namespace

// Not inlined: see get_running_loop.
[[gnu::noinline]] loop_of_thread::loop_of_thread(event_loop* origin) noexcept
    : before_(std::exchange(loop_of_this_thread, origin)) {}

[[gnu::noinline]] loop_of_thread::~loop_of_thread() { loop_of_this_thread = before_; }

[[gnu::noinline]] event_loop* loop_of_thread::origin() noexcept { return loop_of_this_thread; }

void submit_to_thread(event_loop& loop, job& work) {
    if (const task_base* const task = loop.current_task(); task->is_cancel_due()) {
        work.discard();
        throw cancelled_error(std::string(task->cancel_message()));
    }
    try {
        loop.blocking_threads().submit(work);
    } catch (...) {
        work.discard();
        throw;
    }
}

}  // namespace tercet::asyncio
