// Which worker gets which task.
//
// While a worker has nothing to do, it gets one task. When all workers that there may be are busy, and calls are short,
// each gets some more behind the one that it runs, as many as take some 100 us together, so that it does not have to
// wait for the next. Only plain tasks stand behind others: small, without options. A task that turns out to be long
// must not keep those behind it from idle workers: they are taken back, as far as the worker has not claimed them.

#include <fmt/format.h>
#include <sys/epoll.h>

#include <algorithm>
#include <atomic>

#include "pool_manager.hpp"
#include "pool_manager_epoll.hpp"

namespace tercet::multiprocessing {

namespace {

constexpr double pipelined_ns = 100'000;
constexpr std::size_t most_pipelined = 64;
constexpr std::size_t frame_head_size = sizeof(frame_head);
constexpr std::size_t largest_in_ring = worker_segment::ring_size / 4 - sizeof(ring_record);

bool is_any(const remote_task&) noexcept { return true; }

}  // namespace

/// Whether its request is small enough for a ring, and needs nothing beside it.
bool pool_manager::stands_in_ring(const remote_task& task) noexcept {
    return task.request.size() - frame_head_size <= largest_in_ring && task.descriptors.empty();
}

bool pool_manager::is_plain(const remote_task& task) noexcept { return !task.limits && stands_in_ring(task); }

void pool_manager::assign_tasks() {
    while (queue_.size() != 0) {
        worker_channel* const idle = idle_worker();
        worker_channel* const worker = idle ? idle : worker_for_more();
        if (!worker || !give_task(*worker, !idle)) return;
    }
}

/// An idle worker whose ring has room for any message, or null. One that has yet to skip what was taken back from it is
/// looked at again later.
worker_channel* pool_manager::idle_worker() noexcept {
    for (std::size_t i = idle_.size(); i-- > 0;) {
        worker_channel& worker = *idle_[i];
        if (worker.requests.has_room(worker.requests.max_payload())) return &worker;
        wanted_look_ = std::min(wanted_look_, clock::now() + look_every);
        if (worker.requests.is_malformed()) condemn(worker, "it wrote over the place where requests stand");
    }
    return nullptr;
}

/// A busy worker that may have one more task, or null.
worker_channel* pool_manager::worker_for_more() {
    if (workers_.size() < max_workers_ || starting_ != 0 || is_leaving_) return nullptr;
    const auto limit = static_cast<std::size_t>(std::clamp(pipelined_ns / typical_ns_, 1.0, double{most_pipelined}));
    if (limit == 1) return nullptr;
    const auto has_time = [this, limit](const worker_channel& worker) {
        return worker.at == stage::busy && !worker.is_exclusive && !worker.is_doomed && worker.task_count < limit &&
               worker.given < options_.max_tasks_per_child;
    };
    if (filling_ && has_time(*filling_)) return filling_;
    filling_ = nullptr;
    for (const auto& [id, worker] : workers_)
        if (has_time(*worker) && (!filling_ || worker->task_count < filling_->task_count)) filling_ = worker.get();
    return filling_;
}

/// Gives a task to the worker. False: there is none that it can have.
bool pool_manager::give_task(worker_channel& worker, bool only_plain) {
    while (remote_task* const task = queue_.pop(only_plain ? &is_plain : &is_any)) {
        const auto now = task->limits ? clock::now() : clock::time_point::min();
        if (task->deadline() <= now) {
            end_task(*task, nullptr, reason_of_expiry(*task));
            continue;
        }
        if (stands_in_ring(*task) && !worker.requests.has_room(task->request.size() - frame_head_size)) {
            queue_.put_back(*task);
            return false;
        }
        if (task->is_to_be_cancelled || !task->begin()) {
            end_task(*task, nullptr);
            continue;
        }
        if (task->limits && !std::exchange(task->limits->has_begun, true))
            task->limits->deadline = std::min(task->limits->deadline, task->limits->options.timeout.deadline(now));
        note_wait(*task);  // once
        return send_task(worker, *task);
    }
    return false;
}

bool pool_manager::send_task(worker_channel& worker, remote_task& task) {
    std::erase(idle_, &worker);
    worker.at = stage::busy;
    worker.deadline = task.deadline();
    worker.tasks.push(task);
    ++worker.task_count;
    ++worker.given;
    worker.is_exclusive = !is_plain(task);
    if (worker.task_count == 1) worker.last_answer = clock::now();
    wanted_look_ = std::min(
        {wanted_look_, worker.deadline, worker.task_count == 2 ? clock::now() + look_every : clock::time_point::max()});
    task.worker = &worker;
    // Who waits for the one in front is not told any more when that is done, and has to look.
    if (worker.task_count == 2 && worker.has_driver) worker.wake_waiter();
    if (stands_in_ring(task)) {
        task.record = &worker.requests.write(static_cast<std::uint32_t>(ring_kind::run), task.is_to_stop ? 1 : 0,
                                             task.request.bytes().subspan(frame_head_size));
        task.record_end = worker.requests.position();
        worker.wake();
        return true;
    }
    task.record =
        &worker.requests.write(static_cast<std::uint32_t>(ring_kind::run_from_socket), task.is_to_stop ? 1 : 0, {});
    task.record_end = worker.requests.position();
    worker.wake();
    complete_frame(task.request, frame_kind::run);
    switch (worker.send(task.request.bytes(), task.descriptors)) {
        case io_status::done:
            on_sent(worker);
            break;
        case io_status::blocked:
            watch(worker, true);
            break;
        case io_status::closed:
            break;  // the server is about to say how the worker ended
    }
    return true;
}

/// Takes back the tasks that stand behind one that takes long, if another worker has time for them.
void pool_manager::take_back_stuck() {
    const auto now = clock::now();
    const bool may_start = workers_.size() < max_workers_ && !is_broken_ && next_start_ <= now;
    if ((idle_.empty() && !may_start) || queue_.size() != 0) return;
    for (const auto& [id, worker] : workers_) {
        if (worker->task_count < 2 || worker->is_being_read || now - worker->last_answer < std::chrono::milliseconds(1))
            continue;
        take_back(*worker);
    }
}

/// Takes back the tasks that the worker has not begun.
void pool_manager::take_back(worker_channel& worker) {
    task_list kept;
    task_list taken;
    while (remote_task* const task = worker.tasks.pop()) {
        if (revoke(worker, *task)) {
            taken.push_front(*task);
            --worker.task_count;
            --worker.given;
        } else {
            kept.push(*task);
        }
    }
    while (remote_task* const task = kept.pop()) worker.tasks.push(*task);
    if (worker.has_driver) worker.wake_waiter();
    note_if_idle(worker);
    while (remote_task* const task = taken.pop()) queue_.put_back(*task);
}

/// The worker has lost a task, perhaps its last.
void pool_manager::note_if_idle(worker_channel& worker) {
    if (worker.task_count != 0) return;
    worker.deadline = clock::time_point::max();
    worker.is_exclusive = false;
    if (worker.at != stage::busy) return;
    make_idle(worker);
}

/// Takes the task that the worker has had longest off it. Null: it has none.
remote_task* pool_manager::take_first(worker_channel& worker) noexcept {
    remote_task* const task = worker.tasks.pop();
    if (!task) return nullptr;
    --worker.task_count;
    task->worker = nullptr;
    task->record = nullptr;
    return task;
}

/// Whether another worker can have the task: its own has not begun it, and its request is still here. A record that was
/// released is not looked at, since another request may stand there by now.
bool pool_manager::is_unclaimed(const worker_channel& worker, const remote_task& task) noexcept {
    return task.request.size() != 0 && !worker.requests.has_released(task.record_end) &&
           task.record->at.load() == ring_record::ready;
}

/// Takes the task back from the worker, unless that has begun it.
bool pool_manager::revoke(worker_channel& worker, remote_task& task) noexcept {
    std::uint32_t as_sent = ring_record::ready;
    if (!is_unclaimed(worker, task) || !task.record->at.compare_exchange_strong(as_sent, ring_record::revoked))
        return false;
    task.worker = nullptr;
    task.record = nullptr;
    return true;
}

/// The task is over without an answer. The pool's thread finishes it when it can; with neither of the reasons it was
/// cancelled.
void pool_manager::end_task(remote_task& task, std::exception_ptr failure, const char* expiry_text) noexcept {
    task.failure = std::move(failure);
    task.expiry_text = expiry_text;
    ended_.push(task);
}

/// Fails the task that the worker had begun, and puts the others back. For a worker that is gone.
void pool_manager::fail_tasks(worker_channel& worker, const std::string& how, int signal, int exit_code) {
    task_list begun;  // several when the answers of a worker that was condemned did not count any more
    task_list others;
    while (!worker.tasks.empty()) {
        const bool may_be_given_away = is_unclaimed(worker, *worker.tasks.first());
        (may_be_given_away ? others : begun).push_front(*take_first(worker));
    }
    while (remote_task* const task = others.pop())
        if (is_broken_)
            end_task(*task, exception_of([this] { return broken_process_pool(queue_.broken_reason()); }));
        else if (task->is_to_be_cancelled)
            end_task(*task, nullptr);
        else
            queue_.put_back(*task);
    if (worker.has_driver) worker.wake_waiter();
    while (remote_task* const task = begun.pop()) {
        if (retry(*task)) continue;
        std::exception_ptr error;
        if (!task->is_to_be_cancelled) error = death_of(worker, *task, how, signal, exit_code);
        end_task(*task, std::move(error));
    }
}

std::exception_ptr pool_manager::death_of(const worker_channel& worker, const remote_task& task, const std::string& how,
                                          int signal, int exit_code) noexcept {
    return exception_of([&] {
        return worker_died(
            fmt::format("process_pool_executor: worker (pid {}) died: {}; its task{} failed, the others go on",
                        worker.pid, how, task.has_name() ? " " + task.label() : ""),
            worker.pid, signal, exit_code, worker.crash);
    });
}

/// Puts a task that has failed into the queue again, if it may be made again.
bool pool_manager::retry(remote_task& task) {
    if (is_broken_ || is_ended_by_user_ || task.is_to_be_cancelled || task.is_to_stop || !task.can_retry())
        return false;
    --task.limits->retries_left;
    queue_.put_back(task);
    return true;
}

/// All workers have what they may have: reads some answers, after which one has time.
void pool_manager::read_for_room(lock_type& lock) {
    for (const auto& [id, worker] : workers_) {
        if (worker->task_count < 2 || worker->has_driver || worker->is_being_read || !has_readable_answer(*worker))
            continue;
        const channel_pointer kept = worker;
        callback_collector callbacks(*this);
        read_answers(kept, lock, &callbacks);
        if (has_readable_answer(*kept)) wake_reader();  // who passed it over while it was being read
        return;
    }
}

/// Whether there is something that only the pool's thread does, and it does not know.
bool pool_manager::needs_own_thread() const noexcept {
    if (ended_.first() || ended_callbacks_ || queue_.is_closed()) return true;
    if (queue_.size() > starting_ && idle_.empty() && workers_.size() < max_workers_ && !is_broken_) return true;
    return wanted_look_ < sleeps_until_;
}

void pool_manager::on_submitted() noexcept {
    lock_type lock(mutex_);
    try {
        assign_tasks();
        if (queue_.size() != 0) read_for_room(lock);
        if (has_loop_) look_soon_after_loop();
    } catch (const std::exception&) {  // no memory: the pool's thread tries again, and says so
        queue_.wake();
        return;
    }
    if (needs_own_thread()) queue_.wake();
}

}  // namespace tercet::multiprocessing
