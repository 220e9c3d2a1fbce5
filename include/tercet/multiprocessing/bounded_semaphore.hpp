#pragma once

#include <tercet/multiprocessing/semaphore.hpp>

namespace tercet::multiprocessing {

/// A semaphore that never has more permits than at first: a release too many is a mistake, and is told.
class bounded_semaphore : public semaphore {
public:
    /// Throws as that of `semaphore`. `release` throws `std::invalid_argument`, and gives back nothing, when there
    /// would be more permits than at first.
    explicit bounded_semaphore(std::ptrdiff_t value = 1) : semaphore(value, value) {}
};

}  // namespace tercet::multiprocessing
