#pragma once

#include <tercet/futures/time_limit.hpp>
#include <tercet/threading/waiting_line.hpp>

#include <chrono>
#include <cstddef>

namespace tercet::threading {

/// A counter of permits that threads wait for, first come, first served. A guard of the standard library holds one
/// permit. May be destroyed as soon as the last permit that anybody waited for was acquired.
///
///     semaphore connections(8);      std::lock_guard one(connections);
class semaphore {
public:
    /// `value` permits may be acquired before anyone waits. Throws `std::invalid_argument` when it is negative.
    explicit semaphore(std::ptrdiff_t value = 1);
    semaphore(const semaphore&) = delete;
    semaphore& operator=(const semaphore&) = delete;

    /// Takes a permit, waiting up to `limit` while there is none. Returns whether it was taken.
    bool acquire(time_limit limit = {});

    /// Gives back `count` permits and wakes that many waiters. Throws `std::invalid_argument` when `count` is less
    /// than one, or more than can be counted.
    void release(std::ptrdiff_t count = 1);

    /// For the guards of the standard library, which hold one permit.
    void lock() { acquire(); }
    bool try_lock() { return acquire(std::chrono::seconds(0)); }
    void unlock() { release(); }

    /// Forgets who waits: for the child of a fork, in which those threads do not exist. Permits that they had stay
    /// taken until somebody releases them.
    void at_fork_reinit() noexcept;

    /// How many permits are free now.
    std::ptrdiff_t value() const noexcept;

protected:
    /// `release`, but throws before anything happens when there would be more than `most` permits.
    void release_up_to(std::ptrdiff_t count, std::ptrdiff_t most, const char* name);

private:
    mutable quick_lock mutex_;
    waiting_line waiters_;
    std::ptrdiff_t value_;  // zero while anybody waits
};

}  // namespace tercet::threading
