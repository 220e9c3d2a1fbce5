#pragma once

#include <atomic>
#include <cstdint>

namespace tercet::threading {

/// A lock like `quick_lock` whose owner learns, by the very exchange that frees it, that somebody watches it: waits for
/// what the owner has done meanwhile. Either the owner sees the watch, or who watches sees what was done.
class watched_lock {
public:
    constexpr watched_lock() noexcept = default;
    watched_lock(const watched_lock&) = delete;
    watched_lock& operator=(const watched_lock&) = delete;

    void lock() noexcept {
        std::uint32_t expected = 0;
        if (!word_.compare_exchange_strong(expected, held, std::memory_order_acquire, std::memory_order_relaxed))
            lock_slowly();
    }
    /// Frees it if nobody watches and nobody sleeps on it; otherwise false, and it is still held.
    bool try_unlock() noexcept {
        std::uint32_t expected = held;
        return word_.compare_exchange_strong(expected, 0, std::memory_order_release, std::memory_order_relaxed);
    }
    /// Frees it whether watched or not.
    void unlock() noexcept;

    /// What was done under the lock until now is seen after this; who frees it later sees the watch. Any thread.
    void watch() noexcept { word_.fetch_or(watched, std::memory_order_acq_rel); }
    void unwatch() noexcept { word_.fetch_and(~watched, std::memory_order_relaxed); }
    bool is_watched() const noexcept { return (word_.load(std::memory_order_relaxed) & watched) != 0; }

    /// Makes it free, whoever held or watched it: for the child of a fork, in which those threads do not exist.
    void reinit() noexcept { word_.store(0, std::memory_order_relaxed); }

private:
    static constexpr std::uint32_t held = 1;
    static constexpr std::uint32_t has_sleepers = 2;
    static constexpr std::uint32_t watched = 4;

    void lock_slowly() noexcept;

    std::atomic<std::uint32_t> word_{0};
};

}  // namespace tercet::threading
