// A waiter stands in the line before it frees the lock, so a notification that comes as soon as the lock is free finds
// it. mutex_ is taken with the lock held, never the other way round.

#include <tercet/futures/errors.hpp>
#include <tercet/threading/condition.hpp>

#include <limits>
#include <string>

namespace tercet::threading {

condition::condition() noexcept : own_(std::in_place), rlock_(&*own_) {}

condition::condition(primitive_lock& shared) noexcept : lock_(&shared) {}

condition::condition(rlock& shared) noexcept : rlock_(&shared) {}

bool condition::acquire(time_limit limit, std::source_location site) {
    return lock_ ? lock_->acquire(limit, site) : rlock_->acquire(limit, site);
}

void condition::release() { lock_ ? lock_->release() : rlock_->release(); }

void condition::check_held(const char* method) const {
    if (lock_ ? !lock_->locked() : !rlock_->is_owned())
        throw invalid_state_error(std::string("condition: ") + method +
                                  " without holding its lock; acquire it first, for example with std::unique_lock");
}

bool condition::wait(time_limit limit) {
    check_held("wait");
    return wait_until(limit.deadline());
}

bool condition::wait_until(std::chrono::steady_clock::time_point deadline) {
    waiting_line::place mine;
    waiting_line::guard_type guard(mutex_);
    waiters_.enter(mine);
    std::size_t count = 0;
    if (rlock_) {
        count = rlock_->give_up();
    } else {
        try {
            lock_->release();
        } catch (...) {  // another thread has released it meanwhile
            waiters_.leave(mine);
            throw;
        }
    }
    const bool is_notified = waiters_.sleep(mine, guard, deadline);
    if (!is_notified) guard.unlock();
    if (rlock_)
        rlock_->take_back(count);
    else
        lock_->lock();
    return is_notified;
}

void condition::notify(std::size_t count) {
    check_held("notify");
    waiting_line::awakened woken;
    const waiting_line::guard_type guard(mutex_);
    woken = waiters_.take(count);
}

void condition::notify_all() {
    check_held("notify_all");
    waiting_line::awakened woken;
    const waiting_line::guard_type guard(mutex_);
    woken = waiters_.take_all();
}

void condition::at_fork_reinit() noexcept {
    mutex_.reinit();
    waiters_.reinit();
    lock_ ? lock_->at_fork_reinit() : rlock_->at_fork_reinit();
}

}  // namespace tercet::threading
