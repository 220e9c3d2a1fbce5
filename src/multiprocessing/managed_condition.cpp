// A condition has no monitor of its own: who waits, and whom a notification is for, is decided in that of the lock.

#include <tercet/multiprocessing/managed_condition.hpp>

#include <list>

#include "served_lock_state.hpp"
#include "served_wait.hpp"

namespace tercet::multiprocessing::served {

struct condition::waiter {
    bool is_notified = false;
};

struct condition::state {
    std::shared_ptr<lock_state> lock;
    std::list<waiter*> waiting;  // in the order in which they came

    void notify_one() {
        if (waiting.empty()) return;
        waiting.front()->is_notified = true;
        waiting.pop_front();
    }
};

condition::condition(const detail::object_reference<served::lock>& shared) : state_(std::make_unique<state>()) {
    state_->lock = shared.value().shared_state();
}

condition::~condition() = default;

bool condition::wait(wait_time limit) {
    const auto deadline = deadline_of(limit);
    lock_state& lock = *state_->lock;
    visit here(lock);
    lock.require_owned(here.served(), "wait");
    waiter self;
    const auto place = state_->waiting.insert(state_->waiting.end(), &self);
    const std::size_t count = lock.give_up();
    here.notify_all();
    bool has_left = false;
    try {
        here.wait_until(deadline, [&] { return self.is_notified; });
        has_left = !self.is_notified;
        if (has_left) state_->waiting.erase(place);
        here.wait_until(time_point::max(), [&] { return lock.is_free(); });
        lock.take(here.served(), count);
        return self.is_notified;
    } catch (...) {  // the client is gone
        if (self.is_notified) {
            state_->notify_one();
            here.notify_all();
        } else if (!has_left) {
            state_->waiting.erase(place);
        }
        throw;
    }
}

void condition::notify(std::size_t count) {
    visit here(*state_->lock);
    state_->lock->require_owned(here.served(), "notify");
    for (; count != 0 && !state_->waiting.empty(); --count) state_->notify_one();
    here.notify_all();
}

}  // namespace tercet::multiprocessing::served
