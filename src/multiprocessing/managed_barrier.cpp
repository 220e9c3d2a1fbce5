// Each round has a fate of its own, which those who wait in it share: it passes or it breaks. The barrier goes on with
// the next round when one passes, and is broken when one breaks, until it is mended.

#include <tercet/futures/errors.hpp>
#include <tercet/multiprocessing/managed_barrier.hpp>

#include <stdexcept>

#include "served_wait.hpp"

namespace tercet::multiprocessing::served {

struct barrier::round {
    std::size_t waiting = 0;
    bool has_passed = false;
    bool is_broken = false;
};

struct barrier::state : monitor {
    std::size_t parties = 1;
    wait_time limit{};
    std::shared_ptr<round> now = std::make_shared<round>();
};

namespace {

[[noreturn]] void throw_broken() { throw broken_barrier_error("barrier_proxy: it is broken"); }

}  // namespace

barrier::barrier(std::size_t parties, wait_time limit) : state_(std::make_unique<state>()) {
    if (parties == 0) throw std::invalid_argument("manager: barrier: no parties");
    state_->parties = parties;
    state_->limit = limit;
}

barrier::~barrier() = default;

std::size_t barrier::wait() { return wait_up_to(state_->limit); }

std::size_t barrier::wait_up_to(wait_time limit) {
    const auto deadline = deadline_of(limit);
    visit here(*state_);
    const auto mine = state_->now;
    if (mine->is_broken) throw_broken();
    const std::size_t number = mine->waiting++;
    if (mine->waiting == state_->parties) {
        mine->has_passed = true;
        state_->now = std::make_shared<round>();
        here.notify_all();
        return number;
    }
    try {
        if (!here.wait_until(deadline, [&] { return mine->has_passed || mine->is_broken; })) mine->is_broken = true;
    } catch (...) {  // the client is gone: the others would wait for ever
        if (!mine->has_passed) mine->is_broken = true;
        here.notify_all();
        throw;
    }
    if (mine->has_passed) return number;
    here.notify_all();
    throw_broken();
}

void barrier::reset() {
    visit here(*state_);
    state_->now->is_broken = true;
    state_->now = std::make_shared<round>();
    here.notify_all();
}

void barrier::abort() {
    visit here(*state_);
    state_->now->is_broken = true;
    here.notify_all();
}

std::size_t barrier::parties() const { return state_->parties; }

std::size_t barrier::n_waiting() const {
    visit here(*state_);
    return state_->now->is_broken ? 0 : state_->now->waiting;
}

bool barrier::broken() const {
    visit here(*state_);
    return state_->now->is_broken;
}

}  // namespace tercet::multiprocessing::served
