// release hands permits to those who wait, under the mutex: a waiter that was woken has its permit, and nobody can
// overtake it. value_ is what is left over, so it is zero while anybody waits. A waiter whose deadline passes while it
// is handed a permit keeps it and returns true.

#include <tercet/threading/semaphore.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <stdexcept>

namespace tercet::threading {

semaphore::semaphore(std::ptrdiff_t value) : value_(value) {
    if (value < 0)
        throw std::invalid_argument(fmt::format("semaphore: {} permits to begin with; give zero or more", value));
}

bool semaphore::acquire(time_limit limit) {
    waiting_line::guard_type guard(mutex_);
    if (value_ > 0) {
        --value_;
        return true;
    }
    if (const auto duration = limit.duration(); duration && duration->count() == 0) return false;
    return waiters_.wait(guard, limit.deadline());
}

void semaphore::release(std::ptrdiff_t count) {
    release_up_to(count, std::numeric_limits<std::ptrdiff_t>::max(), "semaphore");
}

void semaphore::release_up_to(std::ptrdiff_t count, std::ptrdiff_t most, const char* name) {
    if (count < 1) throw std::invalid_argument(fmt::format("{}: release of {} permits; give one or more", name, count));
    waiting_line::awakened woken;
    const waiting_line::guard_type guard(mutex_);
    const auto waiting = static_cast<std::ptrdiff_t>(waiters_.size());
    // A waiter's permit does not count as free, but was given back all the same.
    if (count > most - value_)
        throw std::invalid_argument(
            fmt::format("{}: release of {} permits with {} free would make more than {}; something is released that "
                        "was never acquired",
                        name, count, value_, most));
    const std::ptrdiff_t handed = std::min(count, waiting);
    woken = waiters_.take(static_cast<std::size_t>(handed));
    value_ += count - handed;
}

std::ptrdiff_t semaphore::value() const noexcept {
    const waiting_line::guard_type guard(mutex_);
    return value_;
}

void semaphore::at_fork_reinit() noexcept {
    mutex_.reinit();
    waiters_.reinit();
}

}  // namespace tercet::threading
