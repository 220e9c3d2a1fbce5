#pragma once

#include <tercet/futures/time_limit.hpp>
#include <tercet/multiprocessing/proxy.hpp>

#include <cstddef>
#include <memory>

namespace tercet::multiprocessing {

namespace served {

class barrier {
public:
    static constexpr bool is_thread_safe = true;

    barrier(std::size_t parties, wait_time limit);
    ~barrier();
    barrier(const barrier&) = delete;
    barrier& operator=(const barrier&) = delete;

    std::size_t wait();
    std::size_t wait_up_to(wait_time limit);
    void reset();
    void abort();
    std::size_t parties() const;
    std::size_t n_waiting() const;
    bool broken() const;

private:
    struct round;
    struct state;
    std::unique_ptr<state> state_;
};

}  // namespace served

/// Python's `Barrier` in a manager, without an action: who gets number 0 may do what is to be done once. Any thread.
class barrier_proxy : public proxy<served::barrier> {
public:
    using proxy<served::barrier>::proxy;

    /// Waits for the others, up to the limit of the barrier, or up to `limit`. Returns a number from 0 to parties - 1,
    /// another one for each party of the round. Throws `broken_barrier_error` when the barrier is or gets broken: by a
    /// limit that passed, by `abort`, by `reset` while this thread waited, or by the death of one who waited.
    std::size_t wait() const { return call<&served::barrier::wait>(); }
    std::size_t wait(time_limit limit) const { return call<&served::barrier::wait_up_to>(limit.duration()); }

    /// Mends the barrier. Those who wait get `broken_barrier_error`.
    void reset() const { call<&served::barrier::reset>(); }
    /// Breaks it, until `reset`.
    void abort() const { call<&served::barrier::abort>(); }

    /// How many it takes to pass.
    std::size_t parties() const { return call<&served::barrier::parties>(); }
    /// How many wait now.
    std::size_t n_waiting() const { return call<&served::barrier::n_waiting>(); }
    /// It is broken: `wait` throws.
    bool broken() const { return call<&served::barrier::broken>(); }
};

}  // namespace tercet::multiprocessing
