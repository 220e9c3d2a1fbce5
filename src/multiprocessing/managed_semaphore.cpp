#include <tercet/multiprocessing/managed_semaphore.hpp>

#include <fmt/format.h>

#include <limits>
#include <stdexcept>

#include "served_wait.hpp"

namespace tercet::multiprocessing::served {

struct semaphore::state : monitor {
    std::ptrdiff_t free;
    std::ptrdiff_t most;
};

semaphore::semaphore(std::ptrdiff_t permits, bool is_bounded) : state_(std::make_unique<state>()) {
    if (permits < 0) throw std::invalid_argument(fmt::format("manager: semaphore: {} permits", permits));
    state_->free = permits;
    state_->most = is_bounded ? permits : std::numeric_limits<std::ptrdiff_t>::max();
}

semaphore::~semaphore() = default;

bool semaphore::acquire(wait_time limit) {
    const auto deadline = deadline_of(limit);
    visit here(*state_);
    if (!here.wait_until(deadline, [this] { return state_->free != 0; })) return false;
    --state_->free;
    return true;
}

void semaphore::release(std::ptrdiff_t count) {
    visit here(*state_);
    if (count < 1 || count > state_->most - state_->free)
        throw std::invalid_argument(
            fmt::format("semaphore_proxy: release of {} permits: {} are free, and there are at most {}", count,
                        state_->free, state_->most));
    state_->free += count;
    here.notify_all();
}

std::ptrdiff_t semaphore::value() const {
    visit here(*state_);
    return state_->free;
}

}  // namespace tercet::multiprocessing::served
