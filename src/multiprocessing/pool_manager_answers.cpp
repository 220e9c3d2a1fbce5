// What workers say, and what their end does to their tasks. The rules stand in pool_manager.cpp.

#include <tercet/multiprocessing/remote_exception.hpp>

#include <fmt/format.h>
#include <sys/wait.h>

#include <algorithm>
#include <mutex>
#include <new>
#include <utility>

#include "pool_manager.hpp"

namespace tercet::multiprocessing {

/// The worker has its request whole, which is not needed any more.
void pool_manager::on_sent(worker_channel& worker) {
    worker.outgoing = {};
    worker.outgoing_descriptors = {};
    worker.sent = 0;
    if (worker.task && !worker.task->can_retry()) worker.task->drop_request();
}

/// Reads what has come from the worker.
void pool_manager::read_frames(worker_channel& worker) {
    while (worker.socket && worker.at != stage::condemned) {
        frame_reader::status status{};
        try {
            status = worker.reader.read(worker.socket.get());
        } catch (const std::bad_alloc&) {
            condemn(worker, "there was no memory for its answer");
            return;
        }
        switch (status) {
            case frame_reader::status::complete:
                on_frame(worker);
                if (!worker.is_gone) return;  // nothing can have come after it yet
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
    if (worker.at == stage::idle) worker.at = stage::leaving;
    std::erase(idle_, &worker);
}

void pool_manager::on_frame(worker_channel& worker) {
    const auto kind = worker.reader.head().kind;
    if (worker.at == stage::starting && kind == frame_kind::ready) {
        worker.at = stage::idle;
        worker.pid = static_cast<pid_t>(worker.reader.head().detail);
        worker.deadline = clock::time_point::max();
        worker.reader.next();
        --starting_;
        ++ready_;
        start_failures_ = 0;
        next_start_ = clock::time_point::min();
        if (!worker.is_gone) idle_.push_back(&worker);
        publish_pids();
    } else if (worker.at == stage::starting && kind == frame_kind::start_failed) {
        try {
            decoder in(worker.reader.payload());
            worker.verdict = fmt::format("its initializer threw {}", describe(decode_exception(in)));
        } catch (const std::exception&) {
            worker.verdict = "its initializer threw";
        }
        worker.reader.next();
    } else if (worker.at == stage::busy && (kind == frame_kind::result || kind == frame_kind::error)) {
        on_answer(worker);
    } else {
        condemn(worker, fmt::format("it sent a message of kind {} out of turn", static_cast<unsigned>(kind)));
    }
}

void pool_manager::on_answer(worker_channel& worker) {
    if (!worker.outgoing.empty()) {
        condemn(worker, "it answered before it had the whole request");
        return;
    }
    remote_task* const task = std::exchange(worker.task, nullptr);
    worker.at = stage::idle;
    worker.deadline = clock::time_point::max();
    const bool is_retried = worker.reader.head().kind == frame_kind::error && retry(*task);
    if (!worker.is_gone) {
        idle_.push_back(&worker);
        give_task(worker);  // it works while its last answer is decoded, which stays in the reader until then
    }
    const auto payload = worker.reader.payload();
    if (is_retried) {
        // its error is nobody's business
    } else if (worker.reader.head().kind == frame_kind::result) {
        decoder in(payload, worker.reader.descriptors());
        task->succeed(in);
    } else {
        std::exception_ptr error;
        try {
            if (payload.empty())
                throw remote_error("unknown",
                                   "process_pool_executor: the call threw an exception larger than max_message_bytes");
            decoder in(payload);
            error = decode_exception(in);
        } catch (...) {
            error = std::current_exception();
        }
        task->fail(std::move(error));
    }
    worker.reader.next();
}

void pool_manager::on_exit(worker_channel& worker, const server_event& event) {
    worker.is_gone = true;
    read_frames(worker);  // an answer that was complete counts
    close_socket(worker.socket);
    const bool was_starting = worker.at == stage::starting;
    {
        const std::lock_guard lock(report_.mutex);
        report_.usage.cpu_seconds += event.cpu_seconds;
        report_.usage.peak_rss_bytes += event.peak_rss_bytes;
    }
    worker.pid = event.pid;
    const int signal = WIFSIGNALED(event.status) ? WTERMSIG(event.status) : 0;
    const int exit_code = signal == 0 ? WEXITSTATUS(event.status) : 0;
    const std::string how = worker.verdict.empty()
                                ? describe_wait_status(event.status)
                                : fmt::format("{} ({})", describe_wait_status(event.status), worker.verdict);
    if (was_starting) --starting_;
    const bool was_ready = worker.at == stage::idle || worker.at == stage::busy || worker.at == stage::leaving;
    if (was_ready) --ready_;
    std::erase(idle_, &worker);
    const auto owned = std::move(workers_.at(worker.id));
    workers_.erase(worker.id);
    publish_pids();
    fail_task(worker, how, signal, exit_code);
    if (was_starting || worker.is_start_failure)
        note_start_failure(fmt::format("worker (pid {}) died: {}", worker.pid, how));
}

void pool_manager::fail_task(worker_channel& worker, const std::string& how, int signal, int exit_code) {
    remote_task* const task = std::exchange(worker.task, nullptr);
    if (!task || retry(*task)) return;
    std::exception_ptr error;
    try {
        error = std::make_exception_ptr(worker_died(
            fmt::format("process_pool_executor: worker (pid {}) died: {}; its task{} failed, the others go on",
                        worker.pid, how, task->has_name() ? " " + task->label() : ""),
            worker.pid, signal, exit_code));
    } catch (const std::bad_alloc&) {
        error = std::current_exception();
    }
    task->fail(std::move(error));
}

/// Puts a task that has failed into the queue again, if it may be made again.
bool pool_manager::retry(remote_task& task) {
    if (is_broken_ || !task.can_retry()) return false;
    --task.limits->retries_left;
    queue_.put_back(task);
    return true;
}

}  // namespace tercet::multiprocessing
