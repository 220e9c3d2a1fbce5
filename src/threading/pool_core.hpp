#pragma once

#include <tercet/futures/deadline_watch.hpp>
#include <tercet/futures/fork_generation.hpp>
#include <tercet/futures/parker.hpp>
#include <tercet/threading/quick_lock.hpp>
#include <tercet/threading/thread_pool_executor.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "threading/injection_queue.hpp"
#include "threading/sleepers.hpp"

namespace tercet::threading {

/// The clock of the pool's statistics, in nanoseconds.
inline std::int64_t now_ns() noexcept {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(time_limit::clock::now().time_since_epoch()).count();
}

struct pool_parts {
    template <class T>
    using atomic = std::atomic<T>;
    using mutex = quick_lock;
    using parker = tercet::parker;
};

/// What an executor and its threads share: the queue, the workers, who of them sleeps. The rules stand in
/// pool_core.cpp; pool_threads.cpp has the life of the threads.
class thread_pool_executor::core : public std::enable_shared_from_this<core> {
public:
    using time_point = time_limit::clock::time_point;
    using sleepers = basic_sleepers<core, pool_parts>;
    static constexpr time_point never = time_point::max();

    explicit core(thread_pool_options options);
    core(const core&) = delete;
    core& operator=(const core&) = delete;
    ~core();

    bool enqueue(job& work, int priority, time_point give_up);
    pool_worker* fork(job& work);
    /// On a thread of the pool: `work` goes onto its deque, whatever the bound is. False: there is no room.
    bool offer(job& work) noexcept;
    /// The same thread takes it from there, unless something else lies above.
    void drop_offered(job& work) noexcept;
    void shutdown(shutdown_options options);
    bool is_own_thread() const noexcept;
    /// Throws when no more calls are taken.
    void check_open() const;
    /// This process is the child of a fork, and the threads are not here.
    bool is_lost() const noexcept { return generation_ != fork_generation(); }

    std::size_t max_workers() const noexcept { return options_.max_workers; }
    deadline_watch& watch() {
        check_not_lost();
        return watch_;
    }
    std::size_t workers() const noexcept { return is_lost() ? 0 : running_.load(std::memory_order_acquire); }
    thread_pool_statistics statistics() const;

    // For workers.

    /// The next job of the queue, or null; `self` is busy then. Others may come along, as `self.taken`.
    job* take(pool_worker& self, bool urgent_only) noexcept;
    job* steal(const pool_worker& thief) noexcept;
    /// A job that goes before the front of the queue may be there.
    bool has_urgent() const noexcept {
        return urgent_key_.load(std::memory_order_relaxed) <=
               static_cast<std::int64_t>(fifo_.taken() + urgent_pushed_.load(std::memory_order_relaxed));
    }
    bool has_queued() const noexcept { return fifo_.size() != 0 || urgent_count_.load(std::memory_order_seq_cst) != 0; }
    /// Jobs wait anywhere.
    bool has_work() const noexcept { return has_queued() || has_any_deque_jobs(); }
    bool may_start() const noexcept { return started_.load(std::memory_order_relaxed) < options_.max_workers; }
    bool may_grow() const noexcept { return may_start() && !cannot_start_.load(std::memory_order_relaxed); }
    bool is_shut_down() const noexcept { return is_shut_down_.load(std::memory_order_acquire); }
    /// Nobody but threads that wait could come to another job.
    bool is_saturated() const noexcept { return sleepers_.is_saturated(); }
    bool has_free() const noexcept { return free_workers() != 0; }
    void note_busy() noexcept { sleepers_.note_busy(); }
    /// What is queued is to be cancelled.
    bool cancels() const noexcept { return cancels_.load(std::memory_order_relaxed); }
    /// A worker that counted as free has turned to other work; looks whether a job relied on it.
    void replace_free(pool_worker& self) noexcept;
    /// A job has left the queue or a deque.
    void job_left() noexcept {
        if (blocked_callers_.load(std::memory_order_seq_cst) != 0) [[unlikely]]
            admit_blocked();
    }

    bool begin_search(sleepers::sleeper& self) noexcept {
        return sleepers_.begin_search(self, (started_.load(std::memory_order_relaxed) + 1) / 2);
    }
    void end_search(sleepers::sleeper& self) noexcept { sleepers_.end_search(self); }
    bool sleep(sleepers::sleeper& self) noexcept { return sleepers_.sleep(self); }
    void sleep_waiting(sleepers::sleeper& self, time_point deadline) noexcept {
        sleepers_.sleep_waiting(self, [&] { self.parker.park(deadline); });
    }

    bool initialize(pool_worker& self);
    void leave() noexcept;
    /// The process ends: idle threads leave.
    void end_with_process() noexcept;

private:
    /// A job may go ahead of that many which came before it, for each step of priority.
    static constexpr std::int64_t jobs_per_priority = 1000;
    static constexpr std::int64_t nothing_urgent = std::numeric_limits<std::int64_t>::max();

    struct urgent_job {
        std::int64_t key;  // stands before jobs of the queue with a higher sequence
        job* work;
        bool operator<(const urgent_job& other) const noexcept {  // the top of the heap is the greatest
            return key != other.key ? key > other.key : work->sequence > other.work->sequence;
        }
    };
    /// A caller in the line before a full queue.
    struct blocked_caller {
        parker* to_wake;
        std::atomic<bool> is_called{false};
        blocked_caller* behind = nullptr;
    };

    void check_not_lost() const;
    void enqueue_inside(pool_worker& self, job& work);
    void push(job& work, int priority);
    bool has_room() noexcept;
    bool is_far_from_full() const noexcept;
    std::size_t in_deques() const noexcept;
    bool wait_for_room(std::unique_lock<quick_lock>& adding, time_point give_up);
    void admit_blocked() noexcept;
    // With adding_ held.
    void call_first_blocked() noexcept;
    void call_all_blocked() noexcept;

    job* take_first(bool urgent_only) noexcept;
    bool has_any_deque_jobs() const noexcept;
    template <class End>
    void empty_queue(End end) noexcept;
    /// Cancels what is queued, but for what somebody's stack waits for: that goes to the queue.
    void discard_queued() noexcept;
    /// Fails what is queued, and what the initializer of `self` has submitted.
    void fail_queued(pool_worker& self, const std::string& reason) noexcept;
    /// Waits until no thread is there any more, and returns whether that is so.
    bool wait_for_end(time_point deadline);
    std::string who_still_works() const;

    // With the mutex of sleepers_ held.
    friend sleepers;
    bool may_leave() noexcept;
    /// Starts a thread when jobs wait that no free thread will take.
    growth start_thread_if_needed() noexcept;
    void start_thread();
    void end_if_all_are_idle() noexcept;
    std::size_t free_workers() const noexcept;

    template <class Visit>
    void for_each_worker(Visit visit) const {
        const std::size_t count = started_.load(std::memory_order_acquire);
        for (std::size_t i = 0; i < count; ++i) visit(*all_[i]);
    }

    thread_pool_options options_;
    const std::uint64_t generation_;                       // of the process, see is_lost
    bool takes_several_;                                   // the queue may be long enough to take several at once
    std::unique_ptr<std::unique_ptr<pool_worker>[]> all_;  // the first started_ are there, and stay

    deadline_watch watch_;
    quick_lock adding_;
    std::uint64_t submitted_ = 0;              // under adding_
    blocked_caller* first_blocked_ = nullptr;  // under adding_; they go in their order
    blocked_caller* last_blocked_ = nullptr;
    injection_queue fifo_;
    alignas(64) mutable quick_lock taking_;
    std::vector<urgent_job> urgent_;  // a heap; under taking_
    // Written rarely, and read by who adds: not in the line of taking_, which others write all the time.
    alignas(64) std::atomic<std::size_t> urgent_count_{0};
    std::atomic<std::int64_t> urgent_key_{nothing_urgent};  // of its top
    std::atomic<std::uint64_t> urgent_pushed_{0};

    alignas(64) sleepers sleepers_;
    struct end_waiter {
        parker* to_wake;
        end_waiter* next;
    };
    end_waiter* waiting_for_end_ = nullptr;  // under the mutex of sleepers_
    std::string broken_because_;             // under that mutex

    // Written rarely while the pool is busy.
    alignas(64) std::atomic<std::size_t> started_{0};  // written under that mutex
    std::atomic<std::size_t> running_{0};              // written under that mutex
    std::atomic<std::size_t> blocked_callers_{0};
    std::atomic<bool> cannot_start_{false};  // the system had no thread the last time
    std::atomic<bool> is_shut_down_{false};  // written under adding_
    std::atomic<bool> is_broken_{false};     // written under adding_
    std::atomic<bool> cancels_{false};
    std::atomic<bool> ends_with_process_{false};
    std::atomic<bool> is_over_{false};  // written under the mutex: all threads may leave
};

}  // namespace tercet::threading
