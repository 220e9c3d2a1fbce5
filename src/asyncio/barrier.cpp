// The last to come ends the round in one step: all who wait leave the line with their numbers. There is no draining
// during which newcomers would have to be kept apart: they stand in the line of the next round.

#include <tercet/asyncio/barrier.hpp>
#include <tercet/futures/errors.hpp>

#include <stdexcept>

namespace tercet::asyncio {

barrier::barrier(std::size_t parties) : parties_(parties) {
    if (parties == 0) throw std::invalid_argument("barrier: no parties; give one or more");
}

bool barrier::wait_awaiter::begin() noexcept {
    if (owner_.is_broken_) {
        ended_ = ending::found_broken;
        return true;
    }
    if (owner_.waiting_ + 1 == owner_.parties_) {
        index_ = owner_.waiting_;
        owner_.end_round(ending::passed);
        return true;
    }
    ++owner_.waiting_;
    wait_in(owner_.waiters_);
    return false;
}

bool barrier::wait_awaiter::abandon() noexcept {
    --owner_.waiting_;
    return wait_list::waiter::abandon();
}

std::size_t barrier::wait_awaiter::await_resume() const {
    throw_if_not_woken();
    switch (ended_) {
        case ending::passed:
            return index_;
        case ending::found_broken:
            throw broken_barrier_error("barrier: it is broken; reset() makes it usable again");
        case ending::aborted:
            throw broken_barrier_error("barrier: aborted while this task waited; reset() makes it usable again");
        case ending::reset:
            break;
    }
    throw broken_barrier_error("barrier: reset while this task waited; it may be waited for again");
}

void barrier::end_round(wait_awaiter::ending how) noexcept {
    waiting_ = 0;
    for (std::size_t index = 0; auto* const woken = static_cast<wait_awaiter*>(waiters_.pop()); ++index) {
        woken->index_ = index;
        woken->ended_ = how;
    }
}

void barrier::reset() noexcept {
    end_round(wait_awaiter::ending::reset);
    is_broken_ = false;
}

void barrier::abort() noexcept {
    is_broken_ = true;
    end_round(wait_awaiter::ending::aborted);
}

}  // namespace tercet::asyncio
