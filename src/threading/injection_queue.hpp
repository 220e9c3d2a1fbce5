#pragma once

#include <tercet/futures/job.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

namespace tercet::threading {

/// The jobs that came from outside, in their order. One thread at a time adds, one at a time takes, and these two do
/// not disturb each other: they share the counters only. A list of chunks; the last spent one is used again.
class injection_queue {
public:
    injection_queue() : head_(new chunk), tail_(head_) {}
    injection_queue(const injection_queue&) = delete;
    injection_queue& operator=(const injection_queue&) = delete;
    ~injection_queue() {
        while (head_) delete std::exchange(head_, head_->next);
        delete spare_.load(std::memory_order_relaxed);
    }

    /// The adding side. Sequentially consistent: see thread_pool_executor.cpp, "Sleep". Throws `std::bad_alloc`.
    void push(job& work) {
        const std::uint64_t index = pushed_.load(std::memory_order_relaxed);
        if (index % per_chunk == 0 && index != 0) {
            chunk* const spent = spare_.exchange(nullptr, std::memory_order_acquire);
            tail_->next = spent ? spent : new chunk;
            tail_ = tail_->next;
        }
        tail_->jobs[index % per_chunk] = &work;
        pushed_.store(index + 1, std::memory_order_seq_cst);
    }
    /// The adding side. No fewer than there are, and exact when that matters: when they seem to be `limit` or more.
    std::size_t size_up_to(std::size_t limit) noexcept {
        const std::uint64_t pushed = pushed_.load(std::memory_order_relaxed);
        if (pushed - known_taken_ >= limit) known_taken_ = taken_.load(std::memory_order_seq_cst);
        return pushed - known_taken_;
    }

    /// The taking side. The oldest job, which stays; or null.
    job* front() noexcept {
        const std::uint64_t index = taken_.load(std::memory_order_relaxed);
        if (index == known_pushed_) known_pushed_ = pushed_.load(std::memory_order_acquire);
        if (index == known_pushed_) return nullptr;
        if (index % per_chunk == 0 && index != 0 && !has_entered_) {
            chunk* const spent = std::exchange(head_, head_->next);
            spent->next = nullptr;
            delete spare_.exchange(spent, std::memory_order_acq_rel);
            has_entered_ = true;
        }
        return head_->jobs[index % per_chunk];
    }
    /// The taking side. The oldest jobs, `limit` at most and not beyond a chunk; they stay.
    std::span<job* const> front(std::size_t limit) noexcept {
        if (limit == 0 || !front()) return {};
        const std::uint64_t index = taken_.load(std::memory_order_relaxed);
        const std::size_t at = index % per_chunk;
        if (known_pushed_ - index < limit) known_pushed_ = pushed_.load(std::memory_order_acquire);
        return std::span<job* const>(head_->jobs)
            .subspan(at, std::min({limit, per_chunk - at, static_cast<std::size_t>(known_pushed_ - index)}));
    }
    /// The taking side. Removes what `front` returned.
    void pop(std::size_t count = 1) noexcept {
        if (count == 0) return;
        has_entered_ = false;
        taken_.store(taken_.load(std::memory_order_relaxed) + count, std::memory_order_seq_cst);
    }

    /// Any thread. How many were taken so far.
    std::uint64_t taken() const noexcept { return taken_.load(std::memory_order_relaxed); }
    /// Any thread.
    std::size_t size() const noexcept {
        const std::uint64_t taken = taken_.load(std::memory_order_seq_cst);
        return pushed_.load(std::memory_order_seq_cst) - taken;
    }

private:
    static constexpr std::size_t per_chunk = 128;
    struct chunk {
        std::array<job*, per_chunk> jobs;
        chunk* next = nullptr;
    };

    alignas(64) chunk* head_;
    std::uint64_t known_pushed_ = 0;
    bool has_entered_ = false;  // the chunk of the front, which is its first
    alignas(64) std::atomic<std::uint64_t> taken_{0};
    alignas(64) chunk* tail_;
    std::uint64_t known_taken_ = 0;
    alignas(64) std::atomic<std::uint64_t> pushed_{0};
    alignas(64) std::atomic<chunk*> spare_{nullptr};
};

}  // namespace tercet::threading
