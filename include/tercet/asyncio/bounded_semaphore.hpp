#pragma once

#include <tercet/asyncio/semaphore.hpp>

#include <cstddef>

namespace tercet::asyncio {

/// A semaphore that never has more permits than at first: a release too many is a mistake, and is told. For the tasks
/// of one loop; the methods of `semaphore`, with what they throw and mean to a cancellation, but for `release`.
class bounded_semaphore : private semaphore {
public:
    /// `permits` may be acquired before anyone waits, and there are never more.
    explicit bounded_semaphore(std::size_t permits) noexcept : semaphore(permits), most_(permits) {}

    using semaphore::acquire;
    using semaphore::available;
    using semaphore::permit;
    using semaphore::scoped;
    using semaphore::try_acquire;

    /// As `semaphore::release`. Throws `std::invalid_argument`, and gives back nothing, when there would be more
    /// permits than at first.
    void release(std::size_t count = 1);

private:
    std::size_t most_;
};

}  // namespace tercet::asyncio
