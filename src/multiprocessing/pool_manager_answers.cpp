// What workers say.
//
// Answers come in the order of the tasks. One thread at a time reads those of a worker (is_being_read), in three steps:
// it takes answers and their tasks, gives the worker more tasks, and then finishes the futures without the mutex, from
// the answers where they stand in the ring. An answer that is too large for the ring stands in the socket, which the
// pool's thread alone reads; the ring says where its place is, and what comes behind it waits.
//
// A thread that waits for a future reads the answers of the worker that has its task (drive). While it looks, the
// worker signals nobody; when it goes to sleep, it asks to be woken itself; when it leaves, it asks for the bell of the
// pool's thread, or of the loop that does its part, and looks once more. So at any time somebody looks, or the worker
// knows whom to wake.

#include <tercet/futures/futex.hpp>
#include <tercet/multiprocessing/remote_exception.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <new>
#include <utility>

#include "pool_manager.hpp"
#include "pool_manager_epoll.hpp"

namespace tercet::multiprocessing {

namespace {

constexpr std::size_t kept_request = std::size_t{1} << 20U;

/// How long a call took, by its worker, which may say anything.
std::uint64_t believable(std::uint64_t nanoseconds) { return std::min<std::uint64_t>(nanoseconds, 1'000'000'000); }

}  // namespace

/// Ends a call by its answer. Without the mutex.
void pool_manager::finish(const answer& given, std::span<unique_fd> descriptors, finish_observer* observer) noexcept {
    if (given.task->block) blocks_.give_back(std::move(given.task->block));
    if (!given.is_error) {
        decoder in(given.payload, descriptors, options_.max_message_bytes);
        given.task->succeed(in, observer);
        return;
    }
    std::exception_ptr error;
    try {
        if (given.payload.empty())
            throw remote_error("unknown",
                               "process_pool_executor: the call threw an exception larger than max_message_bytes");
        decoder in(given.payload);
        error = decode_exception(in);
    } catch (...) {
        error = std::current_exception();
    }
    given.task->fail(std::move(error), observer);
}

pool_manager::callback_collector::callback_collector(pool_manager& pool) noexcept : pool_(pool) {}

bool pool_manager::callback_collector::takes_over(continuation* callbacks) noexcept {
    continuation* last = callbacks;
    while (last->next) last = last->next;
    const std::lock_guard lock(pool_.mutex_);
    (pool_.ended_callbacks_ ? pool_.last_ended_callback_->next : pool_.ended_callbacks_) = callbacks;
    pool_.last_ended_callback_ = last;
    return true;
}

bool pool_manager::has_readable_answer(worker_channel& worker) noexcept {
    if (is_given_up(worker) || worker.is_being_read || !worker.answers.has_message()) return false;
    const auto first = worker.answers.front();
    return !first.record || static_cast<ring_kind>(first.kind) != ring_kind::answer_in_socket;
}

/// Reads some of what has come from the worker through the ring, up to an answer in the socket. Returns how many
/// answers.
std::size_t pool_manager::read_answers(const channel_pointer& channel, lock_type& lock,
                                       finish_observer* observer) noexcept {
    worker_channel& worker = *channel;
    if (worker.is_being_read) return 0;
    std::array<answer, 32> batch;
    std::size_t count = 0;
    std::size_t taken = 0;
    std::uint64_t nanoseconds = 0;
    while (count < batch.size() && !is_given_up(worker)) {
        const auto message = worker.answers.front();
        if (worker.answers.is_malformed()) condemn(worker, "it wrote a malformed message");
        if (!message.record) break;
        const auto kind = static_cast<ring_kind>(message.kind);
        if (kind == ring_kind::answer_in_socket && worker.task_count != 0) break;
        if ((kind != ring_kind::result && kind != ring_kind::error) || worker.task_count == 0) {
            condemn(worker, "it sent a message out of turn");
            break;
        }
        if (!worker.outgoing.empty()) {
            condemn(worker, "it answered before it had the whole request");
            break;
        }
        remote_task* const task = take_first(worker);
        worker.answers.take();
        ++taken;
        nanoseconds += believable(message.detail);
        const bool is_error = kind == ring_kind::error;
        if (!is_error || !retry(*task)) batch[count++] = {task, is_error, message.payload};
    }
    if (taken == 0) return 0;
    after_answers(worker, nanoseconds, taken);
    begin_reading(worker);
    lock.unlock();
    for (std::size_t i = 0; i < count; ++i) finish(batch[i], {}, observer);
    lock.lock();
    worker.answers.release();
    worker.wake();  // it may wait for room
    end_reading(worker);
    return taken;
}

void pool_manager::begin_reading(worker_channel& worker) noexcept {
    worker.is_being_read = true;
    ++readers_;
}

void pool_manager::end_reading(worker_channel& worker) noexcept {
    worker.is_being_read = false;
    --readers_;
    wanted_look_ = std::min(wanted_look_, next_look_at_lives());  // blocks were given back meanwhile
    // What the pool's thread has put off till now.
    if (worker.exit || worker.has_pending_frame || queue_.is_closed()) queue_.wake();
}

/// The worker has answered: gives it something else to do.
void pool_manager::after_answers(worker_channel& worker, std::uint64_t nanoseconds, std::size_t count) {
    const double average = static_cast<double>(nanoseconds) / static_cast<double>(count);
    typical_ns_ += (average - typical_ns_) * std::min(1.0, 0.1 * static_cast<double>(count));
    worker.last_answer = clock::now();
    answered_ += count;
    note_if_idle(worker);
    assign_tasks();
}

bool pool_manager::drive(remote_task& task, clock::time_point deadline) noexcept {
    lock_type lock(mutex_);
    if (task.is_over()) return true;
    if (!task.worker || task.worker->has_driver || task.worker->is_being_read) return false;
    const channel_pointer channel = task.worker->shared_from_this();
    worker_channel& worker = *channel;
    callback_collector callbacks(*this);
    worker.has_driver = true;
    worker.ask_for(answer_signal::none);
    auto& waiter = worker.segment.head().waiter;
    const auto is_worth_a_look = [&] { return worker.answers.has_message() || task.is_over(); };
    while (task.worker == &worker) {
        read_answers(channel, lock, &callbacks);
        if (task.worker != &worker) break;
        if (worker.answers.has_message() && !has_readable_answer(worker)) break;  // it is in the socket
        if (deadline != clock::time_point::max() && clock::now() >= deadline) break;
        if (worker.answers.has_message()) continue;
        const auto look_again = worker.task_count > 1 ? clock::now() + look_every : clock::time_point::max();
        const std::uint32_t seen = waiter.load(std::memory_order_acquire);  // what changes from here on moves it
        lock.unlock();
        if (!spin_.until(is_worth_a_look)) {
            worker.ask_for(answer_signal::wake_waiter);
            if (!is_worth_a_look()) futex_wait(waiter, seen, std::min(deadline, look_again), futex_scope::shared);
            worker.ask_for(answer_signal::none);
        }
        lock.lock();
    }
    worker.has_driver = false;
    worker.ask_for(quiet_signal());
    if (needs_own_thread() || worker.due_signal != 0) queue_.wake();
    if (has_readable_answer(worker)) wake_reader();
    return task.is_over();
}

/// Reads what has come from the worker through the socket. On the pool's thread.
void pool_manager::read_frames(const channel_pointer& channel, lock_type& lock) {
    worker_channel& worker = *channel;
    worker.has_pending_frame = false;
    while (worker.socket && !is_given_up(worker)) {
        frame_reader::status status{};
        try {
            status = worker.reader.read(worker.socket.get());
        } catch (const std::bad_alloc&) {
            condemn(worker, "there was no memory for its answer");
            return;
        }
        switch (status) {
            case frame_reader::status::complete:
                if (!on_frame(channel, lock)) return;
                if (!worker.is_gone) return;  // there is hardly another one behind it
                break;
            case frame_reader::status::blocked:
                return;
            case frame_reader::status::closed:
                on_closed(worker);
                return;
            case frame_reader::status::malformed:
                condemn(worker, fmt::format("it sent {}", worker.reader.problem()));
                return;
        }
    }
}

/// The worker has closed its end; it is dead or about to be, and gets no more tasks.
void pool_manager::on_closed(worker_channel& worker) {
    close_socket(worker.socket);
    if (worker.at == stage::idle || worker.at == stage::busy) {
        worker.at = stage::leaving;
        --ready_;
    }
    std::erase(idle_, &worker);
    if (!worker.is_being_read) take_back(worker);  // else its end tells
}

/// The worker has its request whole. A large one is not kept for the case that it dies before it begins.
void pool_manager::on_sent(worker_channel& worker) {
    worker.forget_outgoing();
    remote_task* const task = worker.tasks.first();
    if (task && !task->can_retry() && task->request.size() > kept_request) task->drop_request();
}

/// False: the frame stays where it is, to be looked at again.
bool pool_manager::on_frame(const channel_pointer& channel, lock_type& lock) {
    worker_channel& worker = *channel;
    const auto kind = worker.reader.head().kind;
    if (worker.at == stage::starting && kind == frame_kind::ready) {
        worker.pid = static_cast<pid_t>(worker.reader.head().detail);
        worker.deadline = clock::time_point::max();
        worker.reader.next();
        worker.forget_outgoing();
        worker.first_descriptors.clear();
        --starting_;
        ++ready_;
        start_failures_ = 0;
        next_start_ = clock::time_point::min();
        worker.last_answer = clock::now();
        make_idle(worker);
        publish_pids();
    } else if (worker.at == stage::starting && kind == frame_kind::start_failed) {
        try {
            decoder in(worker.reader.payload());
            worker.verdict = fmt::format("its initializer threw {}", describe(decode_exception(in)));
        } catch (const std::exception&) {
            worker.verdict = "its initializer threw";
        }
        worker.reader.next();
    } else if (worker.task_count != 0 && (kind == frame_kind::result || kind == frame_kind::error)) {
        return on_frame_answer(channel, lock);
    } else {
        condemn(worker, fmt::format("it sent a message of kind {} out of turn", static_cast<unsigned>(kind)));
    }
    return true;
}

/// An answer in the socket: its place is in the ring, behind the answers that came before.
bool pool_manager::on_frame_answer(const channel_pointer& channel, lock_type& lock) {
    worker_channel& worker = *channel;
    while (read_answers(channel, lock) != 0) {
    }
    if (worker.is_being_read) {  // by another thread, which wakes this one when it is done
        worker.has_pending_frame = true;
        return false;
    }
    if (is_given_up(worker)) return true;
    const auto place = worker.answers.front();
    if (!place.record || static_cast<ring_kind>(place.kind) != ring_kind::answer_in_socket || worker.task_count == 0 ||
        !worker.outgoing.empty()) {
        condemn(worker, "it sent an answer out of turn");
        return true;
    }
    const bool is_error = worker.reader.head().kind == frame_kind::error;
    remote_task* const task = take_first(worker);
    worker.answers.take();
    const bool is_retried = is_error && retry(*task);
    after_answers(worker, believable(place.detail), 1);
    if (worker.has_driver) worker.wake_waiter();
    begin_reading(worker);
    if (!is_retried) {
        lock.unlock();
        finish({task, is_error, worker.reader.payload()}, worker.reader.descriptors(), nullptr);
        lock.lock();
    }
    worker.reader.next();
    worker.answers.release();  // and with it what the worker keeps of its answer
    worker.wake();
    end_reading(worker);
    return true;
}

}  // namespace tercet::multiprocessing
