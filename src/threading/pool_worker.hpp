#pragma once

#include <tercet/futures/adaptive_spin.hpp>
#include <tercet/futures/helping_thread.hpp>
#include <tercet/futures/job.hpp>
#include <tercet/threading/quick_lock.hpp>
#include <tercet/threading/thread.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "threading/pool_core.hpp"
#include "threading/work_deque.hpp"

namespace tercet::threading {

/// One thread of a pool.
class pool_worker final : public helping_thread, public finish_observer {
public:
    using core = thread_pool_executor::core;

    pool_worker(core& owner, std::size_t number, std::string name);

    /// The worker that runs on this thread, of whatever pool, or null.
    static pool_worker* current() noexcept;

    core& owner() const noexcept { return owner_; }
    std::size_t number() const noexcept { return number_; }

    /// Throws `std::system_error`.
    void start(std::shared_ptr<core> kept) {
        kept_ = std::move(kept);
        try {
            thread_.start();
        } catch (...) {
            kept_ = nullptr;
            throw;
        }
    }
    void join() { thread_.join(); }
    std::string name() const { return thread_.name(); }

    void execute(job& work) noexcept;
    /// While another call is on the stack.
    void execute_inside(job& work) noexcept {
        ++depth_;
        execute(work);
        --depth_;
    }
    /// A call that finds no room in the queue, inside of the one that submitted it. False: that goes too deep already.
    bool execute_at_once(job& work) noexcept;

    // finish_observer
    void work_is_over() noexcept override {
        if (depth_ == 0 && !has_jobs()) is_busy.store(false, std::memory_order_relaxed);
    }
    bool takes_over(continuation*) noexcept override {
        set_busy();
        owner_.note_busy();
        return false;
    }

    // helping_thread
    void check_wait(const future_state_base* waited) override;
    bool wait(bool (*is_over)(void*), void* context, time_limit::clock::time_point deadline) noexcept override;

    /// Whether what was taken from the queue since this was asked last took little time.
    bool had_short_jobs() noexcept {
        const std::int64_t now = now_ns();
        const std::int64_t taken_before = std::exchange(taken_at_ns_, now);
        return now - taken_before < short_job_ns * static_cast<std::int64_t>(std::exchange(taken_, 1));
    }
    void note_taken(std::size_t count) noexcept { taken_ = count; }

    /// "prefix-3", with the names of its calls: "prefix-3 ('fetch')".
    std::string describe() const;

    std::uint64_t done() const noexcept { return done_.load(std::memory_order_relaxed); }
    void add_waits(std::array<std::uint64_t, thread_pool_statistics::wait_buckets>& to) const noexcept {
        for (std::size_t i = 0; i < to.size(); ++i) to[i] += waits_[i].load(std::memory_order_relaxed);
    }

    bool has_jobs() const noexcept { return !deque.is_empty() || !taken.is_empty(); }
    job* steal() noexcept {
        job* const oldest = taken.steal();
        return oldest ? oldest : deque.steal();
    }

    work_deque deque;  // what its jobs submitted
    work_deque taken;  // what it took from the queue ahead, and does in that order
    std::atomic<bool> is_busy{false};
    core::sleepers::sleeper rest;

private:
    /// A job that this thread has begun and not ended.
    struct frame {
        const job* work;
        std::int64_t height;  // of the deque when it began: what lies above came from it
        frame* below;
    };

    void run(std::stop_token at_exit);
    /// Any job, or null.
    job* find() noexcept {
        job* const work = look();
        if (work) owner_.note_busy();
        return work;
    }
    job* look() noexcept;
    job* find_elsewhere(bool steals_first) noexcept;
    /// The same while a call waits: first what this call has submitted; other jobs only if nobody else can come to
    /// them.
    job* find_waiting(bool may_help) noexcept {
        if (deque.height() > (top_frame_ ? top_frame_->height : 0))
            if (job* const work = deque.pop()) return work;
        return may_help && owner_.is_saturated() ? find() : nullptr;
    }
    /// At the bottom of the stack, and nothing was found. True: look again.
    bool search() noexcept;
    void find_stack() noexcept;
    std::size_t stack_left() const noexcept;

    void set_busy() noexcept {
        if (is_busy.load(std::memory_order_relaxed)) return;
        if (owner_.may_grow())
            owner_.replace_free(*this);
        else
            is_busy.store(true, std::memory_order_seq_cst);
    }
    void note_wait(std::int64_t since_ns) noexcept;
    void begin_named(const std::string& name) noexcept;
    void end_named() noexcept;

    static constexpr std::int64_t short_job_ns = 2'000;
    static constexpr unsigned turn_of_others = 61;
    static constexpr unsigned most_at_once = 16;

    static thread_local pool_worker* current_;

    core& owner_;
    std::size_t number_;
    unsigned depth_ = 0;  // of waits on this thread's stack
    unsigned at_once_ = 0;
    unsigned finds_ = 0;
    frame* top_frame_ = nullptr;
    std::uintptr_t stack_end_ = 0;
    std::size_t stack_size_ = 0;
    std::int64_t taken_at_ns_ = 0;
    std::size_t taken_ = 1;
    std::atomic<std::uint64_t> done_{0};
    std::array<std::atomic<std::uint64_t>, thread_pool_statistics::wait_buckets> waits_{};
    mutable quick_lock names_lock_;
    std::vector<std::string> names_;  // of the calls on this thread's stack that have one
    adaptive_spin idle_spin_;
    adaptive_spin wait_spin_;
    std::shared_ptr<core> kept_;  // until the thread runs, which keeps it
    thread thread_;
};

}  // namespace tercet::threading
