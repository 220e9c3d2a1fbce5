#pragma once

#include <tercet/futures/time_limit.hpp>
#include <tercet/threading/lock_diagnostics.hpp>
#include <tercet/threading/quick_lock.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <source_location>

namespace tercet::threading {

class condition;

/// A lock that its owner may take again; it is free when it was released as often as it was taken. Only the owner may
/// release it. Works with the guards of the standard library.
class rlock {
public:
    rlock() noexcept = default;
    rlock(const rlock&) = delete;
    rlock& operator=(const rlock&) = delete;

    /// Takes the lock once more, waiting up to `limit` while another thread has it. Returns whether it was taken.
    /// Throws `invalid_state_error`, in builds with lock diagnostics, when the thread that has it has ended.
    bool acquire(time_limit limit = {}, std::source_location site = std::source_location::current());

    /// Throws `invalid_state_error` when the calling thread does not own it.
    void release();

    /// For the guards of the standard library. `unlock` throws as `release`.
    void lock() { acquire({}, {}); }
    void unlock() { release(); }
    bool try_lock() { return acquire(std::chrono::seconds(0), {}); }
    template <class Rep, class Period>
    bool try_lock_for(std::chrono::duration<Rep, Period> duration) {
        return acquire(time_limit(std::max(duration, duration.zero())), {});
    }
    template <class Clock, class Duration>
    bool try_lock_until(std::chrono::time_point<Clock, Duration> deadline) {
        const auto now = Clock::now();  // the earliest time point is further from now than can be told
        return deadline <= now ? try_lock() : try_lock_for(deadline - now);
    }

    /// Whether any thread has it now.
    bool locked() const noexcept { return owner_.load(std::memory_order_relaxed) != nobody; }
    /// Whether the calling thread has it.
    bool is_owned() const noexcept;
    /// How often the calling thread has it.
    std::size_t recursion_count() const noexcept { return is_owned() ? count_ : 0; }

    /// Frees the lock whoever held it: for the child of a fork, in which the owner does not exist.
    void at_fork_reinit() noexcept;

private:
    friend condition;
    static constexpr std::uint64_t nobody = 0;

    void take(std::uint64_t self, std::size_t count, std::source_location site) noexcept;
    /// Frees it altogether and returns how often it was held; `take_back` is the way back.
    std::size_t give_up() noexcept;
    void take_back(std::size_t count);

    [[no_unique_address]] lock_note note_{"rlock", word_};  // first: its address is the lock's
    quick_lock word_;
    std::atomic<std::uint64_t> owner_{nobody};
    std::size_t count_ = 0;  // touched by the owner only
};

}  // namespace tercet::threading
