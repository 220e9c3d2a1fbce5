#pragma once

#include <tercet/multiprocessing/process_pool_executor.hpp>
#include <tercet/multiprocessing/unique_fd.hpp>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

namespace tercet::multiprocessing {

/// Tasks in a row, linked through themselves.
class task_list {
public:
    task_list() noexcept = default;
    task_list(task_list&& other) noexcept
        : first_(std::exchange(other.first_, nullptr)), last_(std::exchange(other.last_, nullptr)) {}
    task_list& operator=(task_list&&) = delete;

    bool empty() const noexcept { return first_ == nullptr; }
    remote_task* first() const noexcept { return first_; }
    remote_task* last() const noexcept { return last_; }
    void push(remote_task& task) noexcept;
    void push_front(remote_task& task) noexcept;
    remote_task* pop() noexcept;
    /// Takes out `task`, which is in it.
    void remove(remote_task& task) noexcept;

private:
    remote_task* first_ = nullptr;
    remote_task* last_ = nullptr;
};

/// The calls that wait for a worker: many threads push, the pool's manager pops, its thread waits on `wake_fd`.
class task_queue {
public:
    explicit task_queue(const process_pool_options& limits) noexcept;

    /// Makes what the pool's thread waits on. Not done with the queue: a static pool would share it with its copies in
    /// workers. Throws `std::system_error`.
    void open();

    /// Appends `task`, waiting for room if the policy is to wait and `may_wait`; a caller that may not wait passes the
    /// limit. Throws `executor_shutdown`, `broken_process_pool`, `queue_full`; the task is then the caller's still.
    void push(remote_task& task, bool may_wait);

    /// Throws `executor_shutdown` or `broken_process_pool` when no tasks are taken any more.
    void check_open() const;

    /// The first task, or null; also null when that is not what `may_be_taken` wants.
    remote_task* pop(bool (*may_be_taken)(const remote_task&) noexcept) noexcept;
    /// Removes `task`, if it is here.
    bool take(remote_task& task) noexcept;
    /// Removes the tasks whose deadline has passed.
    task_list take_expired() noexcept;
    /// When there will be some.
    remote_task::clock::time_point next_deadline() const;
    std::size_t size() const noexcept { return size_.load(std::memory_order_acquire); }

    /// Puts a task that was popped in front again. Its deadline counts again if there is memory to note it.
    void put_back(remote_task& task) noexcept;

    /// Wakes the pool's thread.
    void wake() noexcept;
    int wake_fd() const noexcept { return wake_.get(); }
    void clear_wake() noexcept;
    /// The pool's thread has ended.
    void release_wake() noexcept;

    /// Refuses further tasks.
    void close() noexcept;
    bool is_closed() const noexcept { return is_closed_.load(std::memory_order_acquire); }

    /// Refuses further tasks because of `reason`.
    void break_down(std::string reason) noexcept;
    /// What was given to `break_down`, which was called.
    const std::string& broken_reason() const noexcept { return reason_; }

    /// Removes all tasks.
    task_list take_all() noexcept;

private:
    using by_deadline = std::multimap<remote_task::clock::time_point, remote_task*>;

    void throw_if_closed() const;
    void ring() noexcept;
    void forget_deadline(const remote_task& task) noexcept;
    void note_removed(const remote_task& task) noexcept;

    const std::size_t max_size_;
    const std::size_t max_bytes_;
    const when_full policy_;
    unique_fd wake_;
    mutable std::mutex mutex_;
    std::condition_variable has_room_;
    task_list tasks_;                                   // those without a priority, the oldest first
    std::multimap<std::int64_t, remote_task*> ranked_;  // those with one, by their rank
    by_deadline deadlines_;                             // those that have one
    std::int64_t pushed_ = 0;
    std::atomic<std::size_t> size_{0};  // these two are changed under the mutex
    std::atomic<bool> is_closed_{false};
    std::size_t bytes_ = 0;
    bool is_broken_ = false;
    std::string reason_;
};

}  // namespace tercet::multiprocessing
