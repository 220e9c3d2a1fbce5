// One mutex guards everything here. The pool's thread starts workers, hears of their ends, watches time limits, and
// sleeps whenever it can. Tasks are given out by whoever has put one into the queue or read an answer; answers are read
// by the pool's thread, or by a thread that waits for one of them (drive), which saves two wake-ups each way, or by an
// event loop whose coroutines wait for some (pool_manager_loop.cpp).
//
// Stages of a worker, and what leads from one to the next:
//
//   starting --ready--> idle --task--> busy --answer--> idle ... --queue closed--> leaving --exited--> gone
//       any stage --malformed message, deadline--> condemned --exited--> gone
//       any stage --exited--> gone
//
// A worker is gone when the fork server says so, never when its socket closes: only the server knows how it ended. What
// it had written before is still in the ring and in the socket then, and is read first, so an answer that was complete
// counts. A worker may have several short tasks in its ring (pool_manager_tasks.cpp); it claims each before it begins,
// so its death costs the one that it had claimed, and the others go back into the queue.
//
// If the fork server goes, its workers are killed by the kernel and nobody learns how they ended: the tasks that they
// had begun fail with that reason, and the next task starts a new server.
//
// A task that takes longer than it may is failed and taken off its worker, which is condemned. A task that may be made
// again goes in front of the queue when it threw or when its worker died; it keeps its request until its last attempt.
// Where the queue is closed and workers are leaving, one is started for it all the same.
//
// Whatever a worker sends is input from outside: a message that is not allowed in its stage, too large or without its
// mark condemns it.
//
// Futures are finished without the mutex, since their callbacks may submit; a task is taken off its worker before.
// Callbacks run on the pool's thread only: another thread that reads answers hands them over (ended_callbacks_), as it
// does with tasks that ended otherwise (ended_).
//
// The answers of workers are in pool_manager_answers.cpp, their start and their end in pool_manager_workers.cpp, how
// many there are and how long they stay in pool_manager_lives.cpp.

#include "pool_manager.hpp"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <thread>

#include "bell.hpp"
#include "futures/text_of.hpp"
#include "oom_kills.hpp"
#include "pool_manager_epoll.hpp"

namespace tercet::multiprocessing {

namespace {

using namespace std::chrono_literals;

constexpr auto look_at_least_every = 64ms;  // at a worker that has several tasks
constexpr auto stream_interval = 50us;      // between looks while many answers come
constexpr std::size_t stream_from = 16;     // answers in a look

}  // namespace

pool_manager::pool_manager(const process_pool_options& options, std::size_t max_workers, task_queue& queue,
                           block_cache& blocks, pool_report& report)
    : options_(options),
      queue_(queue),
      blocks_(blocks),
      report_(report),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      bell_(make_eventfd()),
      loop_bell_(make_eventfd()),
      loop_timer_(make_timerfd()),
      max_workers_(max_workers),
      next_id_(first_worker_id) {
    if (!epoll_) throw std::system_error(errno, std::system_category(), "process_pool_executor: epoll_create1");
    watch_fd(epoll_.get(), EPOLL_CTL_ADD, queue_.wake_fd(), EPOLLIN, queue_tag);
    watch_fd(epoll_.get(), EPOLL_CTL_ADD, bell_.get(), EPOLLIN, bell_tag);
    watch_fd(epoll_.get(), EPOLL_CTL_ADD, loop_timer_.get(), EPOLLIN, loop_timer_tag);
    initialize_frame_.resize(sizeof(frame_head));
    const auto request = options.initializer.request();
    initialize_frame_.append(request.data(), request.size());
    complete_frame(initialize_frame_, frame_kind::initialize, options.max_message_bytes);
    oom_kills_ = oom_kills();
}

void pool_manager::run() noexcept {
    lock_type lock(mutex_);
    try {
        for (;;) {
            turn(lock);
            if (is_finished()) break;
            wait_for_events(lock);
        }
    } catch (const std::exception& e) {
        if (!lock.owns_lock()) lock.lock();
        give_up(text_of([&e] { return fmt::format("the pool's own thread failed: {}", e.what()); }));
        while (readers_ != 0) {
            lock.unlock();
            std::this_thread::yield();
            lock.lock();
        }
        finish_ended(lock);
    }
    is_over_ = true;
    close_socket(server_.socket);
    epoll_.reset();
    bell_.reset();
    loop_timer_.reset();
    if (!has_loop_) loop_bell_.reset();
    queue_.release_wake();
}

void pool_manager::turn(lock_type& lock) {
    handle_timeouts();
    end_expired();
    if (is_ended_by_user_) {
        auto waiting = queue_.take_all();
        while (remote_task* const task = waiting.pop()) end_task(*task, nullptr);
    }
    if (queue_.size() != 0 && std::exchange(is_leaving_, false)) leave_deadline_ = clock::time_point::max();
    take_back_stuck();
    assign_tasks();
    retire_idle();
    check_memory();
    trim_blocks();
    start_workers();
    send_due_signals();
    if (queue_.is_closed() && queue_.size() == 0) leave();
    finish_ended(lock);
}

void pool_manager::wait_for_events(lock_type& lock) {
    const std::size_t answers = read_all_answers(lock);
    is_streaming_ = answers >= stream_from && !has_attentive_loop();
    if (!is_streaming_ && (answers != 0 || !ask_for_signals())) return;  // there may be something to do now

    auto until = std::min({leave_deadline_, queue_.next_deadline(), next_look_at_lives()});
    const auto now = clock::now();
    if ((queue_.size() != 0 || active() < wanted_workers()) && next_start_ > now) until = std::min(until, next_start_);
    if (queue_.size() != 0 && !idle_.empty()) until = std::min<clock::time_point>(until, now + look_every);
    for (const auto& [id, worker] : workers_) {
        if (!worker->is_being_read) until = std::min(until, worker->deadline);
        if (worker->due_signal != 0) until = std::min(until, now + 10ms);
        if (worker->task_count > 1) {  // less and less often, the longer it is busy with one
            const auto since = std::clamp<clock::duration>(now - worker->last_answer, look_every, look_at_least_every);
            until = std::min(until, now + since);
        }
        if ((worker->exit || worker->has_pending_frame) && !worker->is_being_read) until = now;
    }
    if (ended_.first() || ended_callbacks_ || is_finished()) until = now;
    if (is_streaming_) {
        for (const auto& [id, worker] : workers_)
            if (!worker->has_driver) worker->ask_for(answer_signal::none);
        until = std::min<clock::time_point>(until, now + stream_interval);
    }
    const auto limit = until == clock::time_point::max() ? -1ns : std::max<std::chrono::nanoseconds>(until - now, 0ns);

    std::array<epoll_event, 64> events{};
    wanted_look_ = clock::time_point::max();
    sleeps_until_ = until;
    lock.unlock();
    const int count = wait_for_fds(epoll_.get(), events, limit);
    lock.lock();
    sleeps_until_ = clock::time_point::min();
    for (int i = 0; i < count; ++i) {
        const auto& event = events[static_cast<std::size_t>(i)];
        const std::uint64_t tag = event.data.u64;  // a copy, since the kernel's struct is packed
        if (tag == queue_tag) {
            queue_.clear_wake();
        } else if (tag == bell_tag) {
            clear_bell(bell_.get());
        } else if (tag == loop_timer_tag) {
            on_loop_timer();
        } else if (tag == server_tag) {
            on_server_readable(lock);
        } else if (const auto found = workers_.find(tag); found != workers_.end()) {
            const channel_pointer worker = found->second;
            if ((event.events & EPOLLOUT) != 0) on_worker_writable(*worker);
            if ((event.events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) read_frames(worker, lock);
        }
    }
    const bool looks_after_loop = std::exchange(is_look_after_loop_due_, false);
    if (read_all_answers(lock) != 0 && looks_after_loop) note_late_loop();
    finish_ended(lock);
}

/// Returns how many there were.
std::size_t pool_manager::read_all_answers(lock_type& lock) {
    std::size_t total = 0;
    looked_at_.clear();
    for (const auto& [id, worker] : workers_)
        if (((worker->exit || worker->has_pending_frame) && !worker->is_being_read) ||
            (!worker->has_driver && has_readable_answer(*worker)))
            looked_at_.push_back(worker);
    for (const auto& worker : looked_at_)
        if (const auto exit = worker->exit)
            on_exit(worker, *exit, lock);
        else if (worker->has_pending_frame)
            read_frames(worker, lock);
        else
            total += read_answers(worker, lock);
    looked_at_.clear();
    return total;
}

void pool_manager::handle_timeouts() {
    const auto now = clock::now();
    for (const auto& [id, worker] : workers_) {
        if (worker->deadline > now || worker->is_being_read) continue;
        worker->deadline = clock::time_point::max();
        if (remote_task* const task = take_first(*worker)) {
            worker->forget_outgoing();
            condemn(*worker, "its task took longer than it may");
            if (worker->has_driver) worker->wake_waiter();
            end_task(*task, nullptr, "took longer than it may; its worker is killed and replaced");
            continue;
        }
        if (worker->at == stage::leaving) condemn(*worker, "it did not leave when it was told to");
        if (worker->at != stage::starting) continue;
        if (!has_hello_) {
            service().give_up(server_.generation);
            give_up(fmt::format("the fork server did not answer within {} ms", options_.start_timeout.count()));
            return;
        }
        condemn(*worker, fmt::format("it was not ready within {} ms", options_.start_timeout.count()));
    }
    if (leave_deadline_ <= now) {
        leave_deadline_ = now + patience;
        if (std::exchange(has_lost_patience_, true)) {
            give_up("the fork server does not answer");
            return;
        }
        for (const auto& [id, worker] : workers_) condemn(*worker, "it did not leave when it was told to");
    }
}

/// Fails the tasks that have waited too long.
void pool_manager::end_expired() {
    auto expired = queue_.take_expired();
    while (remote_task* const task = expired.pop()) end_task(*task, nullptr, reason_of_expiry(*task));
}

/// Finishes what has ended otherwise than by an answer.
void pool_manager::finish_ended(lock_type& lock) noexcept {
    while (ended_.first() || ended_callbacks_) {
        auto ended = std::move(ended_);
        continuation* const callbacks = std::exchange(ended_callbacks_, nullptr);
        lock.unlock();
        while (remote_task* const task = ended.pop()) {
            if (task->expiry_text) task->expire(task->expiry_text);
            if (task->failure)
                task->fail(std::exchange(task->failure, nullptr));
            else
                task->discard();
        }
        future_state_base::run_callbacks(callbacks);
        lock.lock();
    }
}

bool pool_manager::is_finished() const {
    return is_leaving_ && workers_.empty() && readers_ == 0 && !ended_.first() && !ended_callbacks_ &&
           (usage_is_known_ || !server_.socket);
}

}  // namespace tercet::multiprocessing
