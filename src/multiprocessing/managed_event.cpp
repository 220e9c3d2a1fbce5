#include <tercet/multiprocessing/managed_event.hpp>

#include <cstdint>

#include "served_wait.hpp"

namespace tercet::multiprocessing::served {

struct event::state : monitor {
    bool is_set = false;
    std::uint64_t sets = 0;  // so that who waits when it is set goes, though it may be cleared before that looks
};

event::event() : state_(std::make_unique<state>()) {}
event::~event() = default;

void event::set() {
    visit here(*state_);
    if (state_->is_set) return;
    state_->is_set = true;
    ++state_->sets;
    here.notify_all();
}

void event::clear() {
    visit here(*state_);
    state_->is_set = false;
}

bool event::is_set() const {
    visit here(*state_);
    return state_->is_set;
}

bool event::wait(wait_time limit) {
    const auto deadline = deadline_of(limit);
    visit here(*state_);
    const auto before = state_->sets;
    return here.wait_until(deadline, [&] { return state_->is_set || state_->sets != before; });
}

}  // namespace tercet::multiprocessing::served
