#pragma once

#include <tercet/threading/semaphore.hpp>

namespace tercet::threading {

/// A semaphore that never has more permits than at first: a release too many is a mistake, and is told.
class bounded_semaphore : private semaphore {
public:
    /// Throws `std::invalid_argument` when `value` is negative.
    explicit bounded_semaphore(std::ptrdiff_t value = 1) : semaphore(value), most_(value) {}

    using semaphore::acquire;
    using semaphore::at_fork_reinit;
    using semaphore::lock;
    using semaphore::try_lock;
    using semaphore::value;

    /// As `semaphore::release`. Throws `std::invalid_argument`, and gives back nothing, when there would be more
    /// permits than at first.
    void release(std::ptrdiff_t count = 1) { release_up_to(count, most_, "bounded_semaphore"); }
    /// For the guards of the standard library. Throws as `release`.
    void unlock() { release(); }

private:
    std::ptrdiff_t most_;
};

}  // namespace tercet::threading
