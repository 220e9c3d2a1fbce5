// The lock listens for the end of its owner, so it never refers to a task that is gone. A guard in the owner's frames
// is destroyed before that end is told; an owner that is told to have ended therefore cannot release any more, and the
// lock is abandoned, for ever: what it guards is in an unknown state. Those who wait and those who come get an error
// that names the task.
//
// release and ~guard give the lock to the first in line in the same step. It is not free in between, so a newcomer
// cannot overtake, and a waiter that was cancelled is not in the line any more.

#include <tercet/asyncio/event_loop.hpp>
#include <tercet/asyncio/lock.hpp>
#include <tercet/futures/errors.hpp>

#include <fmt/format.h>

namespace tercet::asyncio {

namespace {

task_base* running_task() noexcept {
    event_loop* const loop = find_running_loop();
    return loop ? loop->current_task() : nullptr;
}

}  // namespace

lock::~lock() {
    if (owner_) owner_->stop_listening(*this);
}

bool lock::acquire_awaiter::begin() noexcept {
    task_base& task = waiting_task();
    if (lock_.is_free()) {
        lock_.give_to(task);
        return true;
    }
    if (lock_.is_abandoned_)
        refusal_ = refusal::is_abandoned;
    else if (lock_.owner_ == &task)
        refusal_ = refusal::is_held_by_the_task;
    else
        wait_in(lock_.waiters_);
    return refusal_ != refusal::none;
}

void lock::waiter::throw_refused() const {
    switch (refusal_) {
        case refusal::is_abandoned:
            lock_.throw_abandoned();
        case refusal::is_held_by_the_task:
            throw invalid_state_error(fmt::format("lock: {} has it already, and would wait for itself",  //
                                                  waiting_task().name()));
        default:
            throw invalid_state_error(fmt::format("condition: {} waits without the lock; acquire it first",  //
                                                  waiting_task().name()));
    }
}

bool lock::try_acquire() {
    task_base* const task = running_task();
    if (!task) throw invalid_state_error("lock: a callback is no task; only a task can hold a lock");
    if (is_abandoned_) throw_abandoned();
    if (owner_) return false;
    give_to(*task);
    return true;
}

void lock::release() {
    if (!owner_) throw invalid_state_error("lock: release of a lock that nobody holds");
    task_base* const task = running_task();
    if (task != owner_)
        throw invalid_state_error(
            fmt::format("lock: release by {}, but {} holds it", task ? task->name() : "a callback", owner_->name()));
    hand_over();
}

void lock::hand_over() noexcept {
    owner_->stop_listening(*this);
    owner_ = nullptr;
    if (auto* const woken = static_cast<waiter*>(waiters_.pop())) give_to(woken->waiting_task());
}

void lock::owner_ended(done_listener& self) noexcept {
    auto& here = static_cast<lock&>(self);
    here.is_abandoned_ = true;
    try {
        here.last_owner_ = here.owner_->name();
    } catch (...) {  // NOLINT(bugprone-empty-catch): no memory for the name
    }
    here.owner_ = nullptr;
    while (auto* const woken = static_cast<waiter*>(here.waiters_.pop()))
        woken->refusal_ = waiter::refusal::is_abandoned;
}

void lock::throw_abandoned() const {
    throw invalid_state_error(fmt::format("lock: {} ended without releasing it", last_owner_));
}

}  // namespace tercet::asyncio
