// Handing over. With symmetric transfer a coroutine that awaits, or ends, jumps into the next one. Without it, it
// returns to run_one_coroutine with the next one noted in the loop, and that resumes it: one more step each time, but
// the stack never grows. Compilers that make no tail call (g++ at -O0 and under sanitizers) need the second.
//
// The outermost coroutine of a task does not destroy itself: it stands at its final suspension when the loop, back in
// run_one_coroutine, finishes the task.

#include <tercet/asyncio/coro.hpp>
#include <tercet/asyncio/event_loop.hpp>
#include <tercet/asyncio/task_base.hpp>
#include <tercet/futures/errors.hpp>

namespace tercet::asyncio {

void promise_base::resume(ready_node& self, reason why) noexcept {
    if (why == reason::discard) return;  // a loop ends after its tasks
    auto& promise = static_cast<promise_base&>(self);
    promise.task_->loop().run_one_coroutine(promise);
}

void throw_not_awaitable() {
    throw invalid_state_error("co_await: the coroutine was moved from, or has been awaited already");
}

void promise_base::resume_next() noexcept { task_->loop().next_coroutine_ = this; }

void promise_base::end_task() noexcept { task_->loop().ended_task_ = task_; }

void event_loop::run_one_coroutine(promise_base& promise) noexcept {
    current_task_ = promise.task_;
#if TERCET_SYMMETRIC_TRANSFER
    promise.handle().resume();
#else
    for (promise_base* next = &promise; next; next = std::exchange(next_coroutine_, nullptr)) next->handle().resume();
#endif
    current_task_ = nullptr;
    if (ended_task_) std::exchange(ended_task_, nullptr)->finish();
}

// Inside a step of another task, or of a callback: that one is suspended by an ordinary call.
void event_loop::run_eagerly(promise_base& promise) noexcept {
    task_base* const interrupted = current_task_;
    run_one_coroutine(promise);
    current_task_ = interrupted;
}

}  // namespace tercet::asyncio
