// A wait stands first in the line of the condition, then in that of the lock, where it is when it was notified, or when
// it was cancelled and another task has the lock. It resumes once, with the lock:
//
//   notified                        moves to the lock's line; a cancellation from here on lets it stand there
//   cancelled, and the lock is free takes the lock and throws
//   cancelled, and it is held       moves to the lock's line, and throws when it has the lock
//
// In the second line a notification does not find it, so a cancelled wait takes none. The one who notifies holds the
// lock, so nobody who was notified could have it at once.

#include <tercet/asyncio/condition.hpp>
#include <tercet/asyncio/event_loop.hpp>
#include <tercet/futures/errors.hpp>

#include <limits>
#include <string>

namespace tercet::asyncio {

bool condition::wait_awaiter::begin() noexcept {
    if (lock_.owner_ != &waiting_task()) {
        refusal_ = refusal::is_not_held_by_the_task;
        return true;
    }
    wait_in(owner_.waiters_);
    lock_.hand_over();
    return false;
}

bool condition::wait_awaiter::abandon() noexcept {
    if (is_notified_ || is_cancelled_) return false;
    is_cancelled_ = true;
    static_cast<void>(lock::waiter::abandon());
    if (lock_.owner_) {
        wait_in(lock_.waiters_);
        return false;
    }
    if (lock_.is_free()) lock_.give_to(waiting_task());
    return true;
}

void condition::wait_awaiter::await_resume() const {
    if (is_cancelled_) throw cancelled_error(std::string(waiting_task().cancel_message()));
    throw_if_not_granted();
}

void condition::notify(std::size_t count) {
    event_loop* const loop = find_running_loop();
    if (!loop || !lock_->owner_ || loop->current_task() != lock_->owner_)
        throw invalid_state_error("condition: notify by one who does not hold the lock; acquire it first");
    for (; count > 0 && !waiters_.empty(); --count) {
        static_cast<wait_awaiter*>(waiters_.front())->is_notified_ = true;
        waiters_.move_first_to(lock_->waiters_);
    }
}

void condition::notify_all() { notify(std::numeric_limits<std::size_t>::max()); }

}  // namespace tercet::asyncio
