// How many workers there are, and how long they stay.
//
// A worker leaves by itself, after its last answer, when it was told that there will be no more requests (retire). It
// is made to end by a signal (doom): it gets no more tasks then, but what it still answers counts, so a call is over
// exactly once, whichever comes first. Another call that stands with it goes back into the queue.

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <string>
#include <utility>

#include "bell.hpp"
#include "pool_manager.hpp"

namespace tercet::multiprocessing {

namespace {

/// The resident memory of a process that is of no file, in bytes; 0 when it has ended.
std::size_t anonymous_bytes(pid_t pid) {
    const unique_fd file(::open(fmt::format("/proc/{}/statm", pid).c_str(), O_RDONLY | O_CLOEXEC));
    std::array<char, 64> text{};
    const ssize_t size = file ? ::read(file.get(), text.data(), text.size()) : 0;
    if (size <= 0) return 0;
    // proc(5): size, resident, shared, … in pages
    std::array<std::size_t, 3> pages{};
    const char* const end = text.data() + size;
    const char* next = text.data();
    for (std::size_t& number : pages) {
        next = std::from_chars(next, end, number).ptr;
        if (next != end) ++next;
    }
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    return (pages[1] - std::min(pages[1], pages[2])) * page;
}

}  // namespace

/// How many workers are to be there whether or not there is work.
std::size_t pool_manager::wanted_workers() const noexcept {
    if (queue_.is_closed() || is_broken_) return 0;
    return is_warming_up_ ? max_workers_ : std::min(options_.min_workers, max_workers_);
}

/// The worker, which is counted as ready, has nothing to do.
void pool_manager::make_idle(worker_channel& worker) {
    worker.at = stage::idle;
    if (worker.is_gone) return;
    idle_.push_back(&worker);
    if (worker.is_doomed || worker.given >= options_.max_tasks_per_child || active() > max_workers_)
        retire(worker);
    else if (!options_.idle_timeout.is_forever())
        wanted_look_ = std::min(wanted_look_, options_.idle_timeout.deadline(worker.last_answer));
}

/// Lets an idle worker leave.
void pool_manager::retire(worker_channel& worker) {
    std::erase(idle_, &worker);
    worker.at = stage::leaving;
    --ready_;
    worker.deadline = clock::now() + patience;
    wanted_look_ = std::min(wanted_look_, worker.deadline);
    worker.close_requests();
    publish_pids();
}

/// Lets those go that have had nothing to do for too long. The first has been idle for the longest time.
void pool_manager::retire_idle() {
    if (options_.idle_timeout.is_forever()) return;
    const auto now = clock::now();
    while (!idle_.empty() && active() > wanted_workers() &&
           options_.idle_timeout.deadline(idle_.front()->last_answer) <= now)
        retire(*idle_.front());
}

/// Ends those that have grown too large.
void pool_manager::check_memory() {
    if (options_.worker_memory_limit == process_pool_options::unlimited) return;
    const auto now = clock::now();
    if (now < next_memory_look_) return;
    next_memory_look_ = now + memory_look_every;
    for (const auto& [id, worker] : workers_) {
        if ((worker->at != stage::idle && worker->at != stage::busy) || worker->is_doomed) continue;
        const std::size_t has = anonymous_bytes(worker->pid);
        if (has <= options_.worker_memory_limit) continue;
        if (worker->at == stage::idle) {
            retire(*worker);
            continue;
        }
        doom(*worker, SIGKILL,
             fmt::format("it had {} MiB of memory, the limit is {} MiB", has >> 20U,
                         options_.worker_memory_limit >> 20U));
    }
}

/// Gives the memory of large arguments back when it was not needed for a while.
void pool_manager::trim_blocks() {
    if (blocks_.is_empty()) return;
    const auto now = clock::now();
    if (now < next_trim_) return;
    next_trim_ = now + trim_every;
    blocks_.trim();
}

/// Ends the worker by a signal.
void pool_manager::doom(worker_channel& worker, int signal, std::string verdict) {
    worker.verdict = std::move(verdict);
    worker.due_signal = signal;
    worker.is_doomed = true;
    if (worker.at == stage::idle && !worker.is_gone) retire(worker);  // for the case that it survives the signal
}

/// When the pool's thread has to see to all this.
pool_manager::clock::time_point pool_manager::next_look_at_lives() const noexcept {
    auto next = clock::time_point::max();
    if (!options_.idle_timeout.is_forever() && !idle_.empty() && active() > wanted_workers())
        next = options_.idle_timeout.deadline(idle_.front()->last_answer);
    if (options_.worker_memory_limit != process_pool_options::unlimited && ready_ != 0)
        next = std::min(next, next_memory_look_);
    if (!blocks_.is_empty()) next = std::min(next, next_trim_);
    return next;
}

void pool_manager::note_wait(remote_task& task) noexcept {
    if (task.queued_at == clock::time_point::min()) return;
    const auto waited = std::chrono::duration_cast<std::chrono::microseconds>(
                            clock::now() - std::exchange(task.queued_at, clock::time_point::min()))
                            .count();
    const auto bucket = static_cast<std::size_t>(std::bit_width(static_cast<std::uint64_t>(std::max(waited, 0L))));
    ++waits_[std::min(bucket, waits_.size() - 1)];
}

void pool_manager::resize(std::size_t max_workers) {
    const lock_type lock(mutex_);
    max_workers_ = max_workers;
    while (active() > max_workers_ && !idle_.empty()) retire(*idle_.front());
    queue_.wake();
}

void pool_manager::warm_up() {
    const lock_type lock(mutex_);
    is_warming_up_ = true;
    queue_.wake();
}

bool pool_manager::cancel_running(remote_task& task) {
    const lock_type lock(mutex_);
    if (task.is_over()) return false;
    if (std::exchange(task.is_to_be_cancelled, true)) return true;
    if (!task.worker) {  // its answer is being read, or it waits to be made again
        if (queue_.take(task)) end_task(task, nullptr);
    } else if (worker_channel& worker = *task.worker; is_given_up(worker)) {
        return true;
    } else if (stands_in_ring(task) && revoke(worker, task)) {
        worker.tasks.remove(task);
        --worker.task_count;
        --worker.given;
        end_task(task, nullptr);
        if (worker.has_driver) worker.wake_waiter();
        note_if_idle(worker);
    } else {
        if (!worker.is_exclusive) take_back(worker);  // what it has not begun must not die with it
        if (worker.tasks.last() != &task) {           // it has begun another, so it has answered this one
            task.is_to_be_cancelled = false;
            queue_.wake();
            return false;
        }
        doom(worker, SIGKILL, "its call was cancelled");
    }
    queue_.wake();
    return true;
}

/// Marks the record of the task, which its worker looks at when the call wants its token, and when it is told to.
void pool_manager::ask_to_stop(remote_task& task) noexcept {
    const lock_type lock(mutex_);
    task.is_to_stop = true;
    if (!task.worker || is_given_up(*task.worker) || task.worker->requests.has_released(task.record_end)) return;
    std::atomic_ref(task.record->detail).store(1, std::memory_order_release);
    ring(task.worker->stop_bell.get());
}

void pool_manager::end_workers(int signal) {
    const lock_type lock(mutex_);
    is_ended_by_user_ = true;
    for (const auto& [id, worker] : workers_)
        if (!is_given_up(*worker))
            doom(*worker, signal, signal == SIGKILL ? "kill_workers() was called" : "terminate_workers() was called");
    queue_.wake();
}

process_pool_statistics pool_manager::statistics() {
    const lock_type lock(mutex_);
    process_pool_statistics now;
    now.workers = ready_;
    now.starting = starting_;
    now.queued = queue_.size();
    for (const auto& [id, worker] : workers_) now.running += worker->task_count;
    now.done = answered_;
    now.started = started_;
    now.died = died_;
    now.waits = waits_;
    return now;
}

}  // namespace tercet::multiprocessing
