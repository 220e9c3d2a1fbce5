// A suspension is not begun, waits, or is over. Over it is in one of two ways, whichever comes first:
//
//   complete()   the source has what was waited for, and gave it to the awaiter; cancel no longer finds the awaiter
//   abandon()    the cancellation unlinked it from its source; the source no longer finds the awaiter
//
// Both happen on the loop's thread, and both only make the coroutine ready, so there is no third way: a value is either
// with the awaiter, which then returns it, or still with its source. Sources on other threads come in through the
// inbox.
//
// begin() may call complete() itself: then the coroutine goes once through the ready queue and cannot be cancelled
// there.

#include <tercet/asyncio/coro.hpp>
#include <tercet/asyncio/event_loop.hpp>
#include <tercet/asyncio/suspension.hpp>
#include <tercet/asyncio/task_base.hpp>
#include <tercet/futures/errors.hpp>

namespace tercet::asyncio {

bool suspension::suspend(promise_base& waiter) noexcept {
    waiter_ = &waiter;
    task_base& task = *waiter.task();
    event_loop& loop = task.loop();
    if (task.is_cancel_due_ && when_cancelled_ == entry::refused) [[unlikely]] {
        was_cancelled_ = true;
    } else {
        task.waits_on_ = this;
        if (!begin()) {
            if (task.is_cancel_due_) [[unlikely]]
                task.deliver_cancel();
            return true;
        }
        task.waits_on_ = nullptr;
    }
    if (loop.spend_budget()) return false;
    loop.schedule(waiter);
    return true;
}

void suspension::name_awaited(task_search&) const noexcept {}

void suspension::complete() noexcept {
    task_base& task = *waiter_->task();
    task.waits_on_ = nullptr;
    task.loop().schedule(*waiter_);
}

void suspension::throw_cancelled() const { throw cancelled_error(std::string(waiter_->task()->cancel_message())); }

task_base& suspension::waiting_task() const noexcept { return *waiter_->task(); }

event_loop& suspension::loop() const noexcept { return waiter_->task()->loop(); }

}  // namespace tercet::asyncio
