#pragma once

#include <tercet/futures/job.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

namespace tercet::threading {

/// The jobs of one worker: it takes the newest, others steal the oldest. Chase and Lev (2005) with the memory orders of
/// Lê, Pop, Cohen and Zappa Nardelli (2013), their fences made sequentially consistent accesses, which ThreadSanitizer
/// understands; bounded, so nothing is ever reclaimed.
/// `Atomic` is `std::atomic`, or that of a test that decides about every step.
template <std::size_t capacity, template <class> class Atomic = std::atomic>
class basic_work_deque {
public:
    static constexpr std::size_t room = capacity;

    /// Owner. False: there is no room. Sequentially consistent, so that one who pushes and then looks for sleepers, and
    /// one who goes to sleep and then looks here, do not miss each other.
    bool push(job& work) noexcept {
        const std::int64_t bottom = bottom_.load(std::memory_order_relaxed);
        // Acquire: a thief has read the slot before it moved the top past it.
        if (bottom - top_.load(std::memory_order_acquire) >= static_cast<std::int64_t>(capacity)) return false;
        slot(bottom).store(&work, std::memory_order_relaxed);
        bottom_.store(bottom + 1, std::memory_order_seq_cst);
        return true;
    }

    /// Owner. The same for several, the first of which is stolen first. False: there is no room for all.
    bool push_all(std::span<job* const> works) noexcept {
        const std::int64_t bottom = bottom_.load(std::memory_order_relaxed);
        const auto count = static_cast<std::int64_t>(works.size());
        if (bottom - top_.load(std::memory_order_acquire) + count > static_cast<std::int64_t>(capacity)) return false;
        for (std::int64_t i = 0; i < count; ++i)
            slot(bottom + i).store(works[static_cast<std::size_t>(i)], std::memory_order_relaxed);
        bottom_.store(bottom + count, std::memory_order_seq_cst);
        return true;
    }

    /// Owner. The newest job, or null.
    job* pop() noexcept {
        std::int64_t bottom = bottom_.load(std::memory_order_relaxed);
        if (bottom <= top_.load(std::memory_order_relaxed)) return nullptr;  // thieves only make it emptier
        bottom -= 1;
        bottom_.store(bottom, std::memory_order_seq_cst);  // before the look at the top: a thief sees one or the other
        std::int64_t top = top_.load(std::memory_order_seq_cst);
        job* taken = nullptr;
        if (top <= bottom) {
            taken = slot(bottom).load(std::memory_order_relaxed);
            if (top < bottom) return taken;
            // The last one: whoever moves the top has it.
            if (!top_.compare_exchange_strong(top, top + 1, std::memory_order_seq_cst, std::memory_order_relaxed))
                taken = nullptr;
        }
        bottom_.store(bottom + 1, std::memory_order_relaxed);
        return taken;
    }

    /// Any thread. The oldest job, or null: there is none, or another thief was faster.
    job* steal() noexcept {
        std::int64_t top = top_.load(std::memory_order_seq_cst);
        const std::int64_t bottom = bottom_.load(std::memory_order_seq_cst);  // acquires what `push` wrote
        if (top >= bottom) return nullptr;
        job* const taken = slot(top).load(std::memory_order_relaxed);
        if (!top_.compare_exchange_strong(top, top + 1, std::memory_order_seq_cst, std::memory_order_relaxed))
            return nullptr;
        return taken;
    }

    /// Owner. Rises with each push and falls with each pop: what was pushed since it was read last lies above.
    std::int64_t height() const noexcept { return bottom_.load(std::memory_order_relaxed); }

    /// Any thread, about. Sequentially consistent, as `push` is.
    std::size_t size() const noexcept {
        const std::int64_t top = top_.load(std::memory_order_seq_cst);
        const std::int64_t bottom = bottom_.load(std::memory_order_seq_cst);
        return bottom > top ? static_cast<std::size_t>(bottom - top) : 0;
    }
    /// Any thread.
    bool is_empty() const noexcept {
        return bottom_.load(std::memory_order_seq_cst) <= top_.load(std::memory_order_seq_cst);
    }

private:
    Atomic<job*>& slot(std::int64_t index) noexcept { return slots_[static_cast<std::size_t>(index) % capacity]; }

    alignas(64) Atomic<std::int64_t> top_{0};
    alignas(64) Atomic<std::int64_t> bottom_{0};
    alignas(64) std::array<Atomic<job*>, capacity> slots_{};
};

using work_deque = basic_work_deque<256>;

}  // namespace tercet::threading
