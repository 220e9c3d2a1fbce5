#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace tercet::threading {

/// The futex word that every lock of this module is made of: no owner, no errors, no diagnostics. For short sections
/// inside of other objects; `lock` is the one for users. Any thread may unlock. It may be destroyed as soon as the
/// next owner has it, even while the `unlock` before is still on its way out.
class quick_lock {
public:
    constexpr quick_lock() noexcept = default;
    quick_lock(const quick_lock&) = delete;
    quick_lock& operator=(const quick_lock&) = delete;

    void lock() noexcept {
        if (!try_lock()) lock_slowly(std::chrono::steady_clock::time_point::max());
    }
    bool try_lock() noexcept {
        std::uint32_t expected = free;
        return word_.compare_exchange_strong(expected, held, std::memory_order_acquire, std::memory_order_relaxed);
    }
    /// False when it is still held at `deadline`, or was abandoned.
    bool try_lock_until(std::chrono::steady_clock::time_point deadline) noexcept {
        return try_lock() || lock_slowly(deadline);
    }

    /// Returns whether anybody held it.
    bool unlock() noexcept {
        const std::uint32_t before = word_.exchange(free, std::memory_order_release);
        if (before == held_with_sleepers) [[unlikely]]
            wake();
        return before != free;
    }

    bool is_locked() const noexcept { return word_.load(std::memory_order_relaxed) != free; }

    /// Its owner will not free it: who waits for it until a deadline gives up at once, now and later. Only for locks
    /// that nobody takes with `lock()`.
    void abandon() noexcept;
    bool is_abandoned() const noexcept { return word_.load(std::memory_order_relaxed) == abandoned; }

    /// Makes it free whoever held it: for the child of a fork, in which that thread does not exist.
    void reinit() noexcept { word_.store(free, std::memory_order_relaxed); }

private:
    static constexpr std::uint32_t free = 0;
    static constexpr std::uint32_t held = 1;
    static constexpr std::uint32_t held_with_sleepers = 2;
    static constexpr std::uint32_t abandoned = 3;

    bool lock_slowly(std::chrono::steady_clock::time_point deadline) noexcept;
    void wake() noexcept;

    std::atomic<std::uint32_t> word_{free};
};

}  // namespace tercet::threading
