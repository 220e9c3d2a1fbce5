// A call holds one reference for each place that points at it: the handle, the ready queue, the timer queue.

#include <tercet/asyncio/event_loop.hpp>
#include <tercet/asyncio/handle.hpp>

namespace tercet::asyncio {

void scheduled_call::make_ready(event_loop& loop) noexcept {
    if (is_ready_) return;
    is_ready_ = true;
    loop_ = &loop;
    add_reference();
    loop.schedule(*this);
}

void scheduled_call::start_timer(event_loop& loop, time_point deadline) noexcept {
    loop_ = &loop;
    add_reference();
    loop.timers().add(*this, deadline);
}

void scheduled_call::cancel() noexcept {
    is_cancelled_ = true;
    if (!is_queued()) return;
    loop_->timers().cancel(*this);
    release();
}

void scheduled_call::run(ready_node& self, reason why) noexcept {
    auto& call = static_cast<scheduled_call&>(self);
    call.is_ready_ = false;
    if (why == reason::run && !call.is_cancelled_) {
        const context::entered scope(call.context_);
        try {
            call.invoke();
        } catch (...) {
            call.loop_->call_exception_handler(std::current_exception(), "a callback of an event loop");
        }
    }
    call.release();
}

void scheduled_call::expire(timer_node& self) noexcept {
    auto& call = static_cast<scheduled_call&>(self);
    call.make_ready(*call.loop_);
    call.release();
}

}  // namespace tercet::asyncio
