// One mutex guards everything. Who has pushed a task then sees to it that a worker gets it, if one has time; when one
// answers, the next task is taken from here. The pool's thread waits for the earliest deadline, so a task that has one
// which is earlier wakes it.
//
// A task's rank is the number of tasks that came before it, less the 1,000 for each step of its priority: the lowest
// goes first. So a task with a priority overtakes a limited number of others, and nobody waits for ever.

#include "task_queue.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <new>
#include <system_error>
#include <utility>

#include "bell.hpp"

namespace tercet::multiprocessing {

void task_list::push(remote_task& task) noexcept {
    task.next = nullptr;
    (last_ ? last_->next : first_) = &task;
    last_ = &task;
}

void task_list::push_front(remote_task& task) noexcept {
    task.next = first_;
    first_ = &task;
    if (!last_) last_ = &task;
}

remote_task* task_list::pop() noexcept {
    remote_task* const task = first_;
    if (!task) return nullptr;
    first_ = task->next;
    if (!first_) last_ = nullptr;
    return task;
}

void task_list::remove(remote_task& task) noexcept {
    task_list before;
    while (first_ != &task) before.push(*pop());
    pop();
    while (remote_task* const each = pop()) before.push(*each);
    std::swap(first_, before.first_);
    std::swap(last_, before.last_);
}

task_queue::task_queue(const process_pool_options& limits) noexcept
    : max_size_(limits.queue_size), max_bytes_(limits.queue_bytes), policy_(limits.when_full) {}

void task_queue::open() {
    const std::lock_guard lock(mutex_);
    wake_ = unique_fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake_) throw std::system_error(errno, std::system_category(), "process_pool_executor: eventfd");
}

void task_queue::push(remote_task& task, bool may_wait) {
    const std::size_t bytes = task.request_size();
    const auto has_room = [&] {
        return is_closed_ || size_ == 0 || (size_ < max_size_ && bytes <= max_bytes_ - std::min(bytes_, max_bytes_));
    };
    std::unique_lock lock(mutex_);
    if (may_wait && !has_room()) {
        if (policy_ == when_full::fail) throw queue_full("process_pool_executor: the queue is full");
        has_room_.wait(lock, has_room);
    }
    throw_if_closed();
    constexpr std::int64_t overtaken_by_a_step = 1'000;
    task.rank = pushed_ - std::int64_t{task.priority()} * overtaken_by_a_step;
    auto noted = deadlines_.end();
    if (task.deadline() != remote_task::clock::time_point::max()) noted = deadlines_.emplace(task.deadline(), &task);
    try {
        task.priority() == 0 ? tasks_.push(task) : static_cast<void>(ranked_.emplace(task.rank, &task));
    } catch (...) {
        if (noted != deadlines_.end()) deadlines_.erase(noted);
        throw;
    }
    if ((pushed_ & 63) == 0) task.queued_at = remote_task::clock::now();
    ++pushed_;
    ++size_;
    bytes_ += bytes;
    const bool is_first_to_expire = noted != deadlines_.end() && noted == deadlines_.begin();
    if (is_first_to_expire) ring();
}

void task_queue::check_open() const {
    const std::lock_guard lock(mutex_);
    throw_if_closed();
}

void task_queue::throw_if_closed() const {
    if (is_broken_) throw broken_process_pool(reason_);
    if (is_closed_) throw executor_shutdown("process_pool_executor: submit after shutdown");
}

remote_task* task_queue::pop(bool (*may_be_taken)(const remote_task&) noexcept) noexcept {
    if (size() == 0) return nullptr;
    const std::lock_guard lock(mutex_);
    const remote_task* const oldest = tasks_.first();
    remote_task* task = nullptr;
    if (!ranked_.empty() && (!oldest || ranked_.begin()->first < oldest->rank)) {
        task = ranked_.begin()->second;
        if (!may_be_taken(*task)) return nullptr;
        ranked_.erase(ranked_.begin());
    } else {
        if (!oldest || !may_be_taken(*oldest)) return nullptr;
        task = tasks_.pop();
    }
    forget_deadline(*task);
    note_removed(*task);
    return task;
}

bool task_queue::take(remote_task& task) noexcept {
    const std::lock_guard lock(mutex_);
    const remote_task* each = tasks_.first();
    while (each && each != &task) each = each->next;
    if (each) {
        tasks_.remove(task);
    } else {
        const auto [begin, end] = ranked_.equal_range(task.rank);
        const auto found = std::find_if(begin, end, [&task](const auto& other) { return other.second == &task; });
        if (found == end) return false;
        ranked_.erase(found);
    }
    forget_deadline(task);
    note_removed(task);
    return true;
}

task_list task_queue::take_expired() noexcept {
    task_list expired;
    const std::lock_guard lock(mutex_);
    const auto now = remote_task::clock::now();
    if (deadlines_.empty() || deadlines_.begin()->first > now) return expired;
    const auto is_over = [now](const remote_task& task) { return task.deadline() <= now; };
    deadlines_.erase(deadlines_.begin(), deadlines_.upper_bound(now));
    task_list others;
    while (remote_task* const task = tasks_.pop()) (is_over(*task) ? expired : others).push(*task);
    while (remote_task* const task = others.pop()) tasks_.push(*task);
    for (auto at = ranked_.begin(); at != ranked_.end();) {
        const auto here = at++;
        if (!is_over(*here->second)) continue;
        expired.push(*here->second);
        ranked_.erase(here);
    }
    for (const remote_task* each = expired.first(); each; each = each->next) note_removed(*each);
    return expired;
}

remote_task::clock::time_point task_queue::next_deadline() const {
    const std::lock_guard lock(mutex_);
    return deadlines_.empty() ? remote_task::clock::time_point::max() : deadlines_.begin()->first;
}

void task_queue::forget_deadline(const remote_task& task) noexcept {
    const auto [begin, end] = deadlines_.equal_range(task.deadline());
    for (auto at = begin; at != end; ++at)
        if (at->second == &task) {
            deadlines_.erase(at);
            return;
        }
}

void task_queue::note_removed(const remote_task& task) noexcept {
    --size_;
    bytes_ -= task.request_size();
    has_room_.notify_all();  // who waits may want different amounts of it
}

void task_queue::put_back(remote_task& task) noexcept {
    const std::lock_guard lock(mutex_);
    tasks_.push_front(task);
    try {
        if (task.deadline() != remote_task::clock::time_point::max()) deadlines_.emplace(task.deadline(), &task);
    } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): it is looked at again when a worker gets it
    }
    ++size_;
    bytes_ += task.request_size();
}

void task_queue::clear_wake() noexcept { clear_bell(wake_.get()); }

void task_queue::close() noexcept {
    const std::lock_guard lock(mutex_);
    is_closed_ = true;
    has_room_.notify_all();
    ring();
}

void task_queue::break_down(std::string reason) noexcept {
    const std::lock_guard lock(mutex_);
    is_broken_ = true;
    is_closed_ = true;
    reason_ = std::move(reason);
    has_room_.notify_all();
}

task_list task_queue::take_all() noexcept {
    const std::lock_guard lock(mutex_);
    size_ = 0;
    bytes_ = 0;
    has_room_.notify_all();
    for (const auto& [rank, task] : ranked_) tasks_.push(*task);
    ranked_.clear();
    deadlines_.clear();
    return std::move(tasks_);
}

void task_queue::wake() noexcept {
    const std::lock_guard lock(mutex_);
    ring();
}

void task_queue::release_wake() noexcept {
    const std::lock_guard lock(mutex_);
    wake_.reset();
}

void task_queue::ring() noexcept {
    if (wake_) multiprocessing::ring(wake_.get());
}

}  // namespace tercet::multiprocessing
