#pragma once

#include <tercet/futures/time_limit.hpp>
#include <tercet/threading/lock_diagnostics.hpp>
#include <tercet/threading/quick_lock.hpp>

#include <algorithm>
#include <chrono>
#include <source_location>

namespace tercet::threading {

/// Mutual exclusion among threads: Python's `Lock`. One word, in release builds. Not recursive, not fair: who comes in
/// the right moment may overtake who sleeps. Any thread may release it. Works with the guards of the standard library.
///
///     lock door;      std::lock_guard inside(door);      if (door.acquire(2s)) ...
///
/// `lock` is this class by its Python name, which a class that has a method `lock` cannot have itself.
class primitive_lock {
public:
    primitive_lock() noexcept = default;
    primitive_lock(const primitive_lock&) = delete;
    primitive_lock& operator=(const primitive_lock&) = delete;

    /// Takes the lock, waiting up to `limit` while another has it. Returns whether it was taken. Throws
    /// `invalid_state_error`, in builds with lock diagnostics, when the thread that has it has ended; so does `lock`.
    bool acquire(time_limit limit = {}, std::source_location site = std::source_location::current()) {
        if (word_.try_lock()) [[likely]] {
            note_.acquired(site);
            return true;
        }
        return acquire_slowly(limit.is_forever() ? clock::time_point::max() : limit.deadline(), site);
    }

    /// Frees the lock, whichever thread took it. Throws `invalid_state_error` when nobody did.
    void release() {
        note_.released();
        if (!word_.unlock()) [[unlikely]]
            throw_not_held();
    }

    /// For the guards of the standard library. `unlock` throws as `release`.
    void lock() {
        if (word_.try_lock()) [[likely]]
            note_.acquired({});
        else
            acquire_slowly(clock::time_point::max(), {});
    }
    void unlock() { release(); }
    bool try_lock(std::source_location site = {}) noexcept {
        if (!word_.try_lock()) return false;
        note_.acquired(site);
        return true;
    }
    template <class Rep, class Period>
    bool try_lock_for(std::chrono::duration<Rep, Period> duration) {
        return acquire(time_limit(std::max(duration, duration.zero())), {});
    }
    template <class Clock, class Duration>
    bool try_lock_until(std::chrono::time_point<Clock, Duration> deadline) {
        const auto now = Clock::now();  // the earliest time point is further from now than can be told
        return deadline <= now ? try_lock() : try_lock_for(deadline - now);
    }

    /// Whether anybody has it now.
    bool locked() const noexcept { return word_.is_locked(); }

    /// Frees the lock whoever held it: for the child of a fork, in which the owner does not exist.
    void at_fork_reinit() noexcept {
        note_.released();
        word_.reinit();
    }

private:
    using clock = std::chrono::steady_clock;

    bool acquire_slowly(clock::time_point deadline, std::source_location site);
    [[noreturn]] static void throw_not_held();

    [[no_unique_address]] lock_note note_{"lock", word_};  // first: its address is the lock's
    quick_lock word_;
};

using lock = primitive_lock;

}  // namespace tercet::threading
