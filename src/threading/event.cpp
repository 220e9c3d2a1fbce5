// set takes whoever stands in the line; being woken is the answer, so a clear that follows at once
// takes nothing back. wait looks at the flag under the mutex: an event on the stack of the waiter is safe from the end
// of a set that is still under way. That is why there is no look without the mutex.

#include <tercet/threading/event.hpp>

namespace tercet::threading {

bool event::wait(time_limit limit) {
    waiting_line::guard_type guard(mutex_);
    if (is_set_.load(std::memory_order_relaxed)) return true;
    if (const auto duration = limit.duration(); duration && duration->count() == 0) return false;
    return waiters_.wait(guard, limit.deadline());
}

void event::set() noexcept {
    waiting_line::awakened woken;
    const waiting_line::guard_type guard(mutex_);
    is_set_.store(true, std::memory_order_release);
    woken = waiters_.take_all();
}

void event::clear() noexcept {
    const waiting_line::guard_type guard(mutex_);
    is_set_.store(false, std::memory_order_relaxed);
}

void event::at_fork_reinit() noexcept {
    mutex_.reinit();
    waiters_.reinit();
}

}  // namespace tercet::threading
