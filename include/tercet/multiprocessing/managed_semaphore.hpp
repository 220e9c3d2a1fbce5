#pragma once

#include <tercet/futures/time_limit.hpp>
#include <tercet/multiprocessing/proxy.hpp>

#include <chrono>
#include <cstddef>
#include <memory>

namespace tercet::multiprocessing {

namespace served {

class semaphore {
public:
    static constexpr bool is_thread_safe = true;

    semaphore(std::ptrdiff_t permits, bool is_bounded);
    ~semaphore();
    semaphore(const semaphore&) = delete;
    semaphore& operator=(const semaphore&) = delete;

    bool acquire(wait_time limit);
    void release(std::ptrdiff_t count);
    std::ptrdiff_t value() const;

private:
    struct state;
    std::unique_ptr<state> state_;
};

}  // namespace served

/// Python's `Semaphore` and `BoundedSemaphore` in a manager. A permit has no owner: who dies with one takes it along.
/// A guard of the standard library holds one permit. Any thread.
class semaphore_proxy : public proxy<served::semaphore> {
public:
    using proxy<served::semaphore>::proxy;

    /// Takes a permit, waiting up to `limit` while there is none. Returns whether it was taken.
    bool acquire(time_limit limit = {}) const { return call<&served::semaphore::acquire>(limit.duration()); }
    /// Throws `std::invalid_argument`, and gives back nothing, for less than one, and for more than a bounded semaphore
    /// had in the beginning.
    void release(std::ptrdiff_t count = 1) const { call<&served::semaphore::release>(count); }

    /// For `std::scoped_lock` and the like: `acquire`, also without waiting, `release`.
    void lock() const { acquire(); }
    bool try_lock() const { return acquire(std::chrono::seconds(0)); }
    void unlock() const { release(); }

    /// How many permits are free now.
    std::ptrdiff_t value() const { return call<&served::semaphore::value>(); }
};

}  // namespace tercet::multiprocessing
