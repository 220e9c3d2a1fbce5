#include <tercet/futures/errors.hpp>
#include <tercet/multiprocessing/managed_lock.hpp>

#include <fmt/format.h>

#include "served_lock_state.hpp"
#include "served_wait.hpp"

namespace tercet::multiprocessing::served {

bool lock_state::acquire(time_point deadline) { return take_or_wait(deadline, true); }

bool lock_state::try_acquire() { return take_or_wait(time_point::min(), false); }

bool lock_state::take_or_wait(time_point deadline, bool may_throw) {
    client& caller = client::current();
    caller.note_lock(shared_from_this());
    bool is_mine = false;
    bool was_taken = false;
    try {
        visit here(*this);
        is_mine = is_of(caller);
        if (!is_mine) {
            was_taken = here.wait_until(deadline, [this] { return is_free(); });
            if (was_taken) take(caller, 1);
        } else if (is_recursive_) {
            ++count_;
            was_taken = true;
        } else if (may_throw) {
            throw invalid_state_error(
                "lock_proxy: acquire: the calling thread has it already, and would wait for itself: use an rlock");
        }
    } catch (...) {
        if (!is_mine) caller.forget_lock(this);
        throw;
    }
    if (!is_mine && !was_taken) caller.forget_lock(this);
    return was_taken;
}

void lock_state::release() {
    client& caller = client::current();
    {
        visit here(*this);
        require_owned(caller, "release");
        if (--count_ != 0) return;
        owner_ = 0;
        owner_died_ = false;
        here.notify_all();
    }
    caller.forget_lock(this);
}

void lock_state::require_owned(const client& caller, const char* call) const {
    if (!is_of(caller))
        throw invalid_state_error(fmt::format("{}: {}: the calling thread does not have the lock",
                                              is_recursive_ ? "rlock_proxy" : "lock_proxy", call));
}

std::size_t lock_state::give_up() noexcept {
    owner_ = 0;
    owner_died_ = false;
    return count_;
}

void lock_state::take(const client& caller, std::size_t count) noexcept {
    owner_ = caller.number();
    count_ = count;
}

void lock_state::abandon(std::uint64_t client_number) noexcept {
    const std::lock_guard inside(mutex_);
    if (owner_ != client_number) return;
    owner_ = 0;
    owner_died_ = true;
    changed_.notify_all();
}

lock::lock(bool is_recursive) : state_(std::make_shared<lock_state>(is_recursive)) {}

bool lock::acquire(wait_time limit) { return state_->acquire(deadline_of(limit)); }
bool lock::try_acquire() { return state_->try_acquire(); }
void lock::release() { state_->release(); }

bool lock::locked() const {
    visit here(*state_);
    return !state_->is_free();
}

std::size_t lock::recursion_count() const {
    visit here(*state_);
    return state_->count_of(here.served());
}

bool lock::owner_died() const {
    visit here(*state_);
    return state_->owner_died_before(here.served());
}

}  // namespace tercet::multiprocessing::served
