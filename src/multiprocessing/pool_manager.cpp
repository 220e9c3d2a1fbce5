// One thread owns everything here; others reach it through the queue only.
//
// Stages of a worker, and what leads from one to the next:
//
//   starting --ready--> idle --task--> busy --answer--> idle ... --queue closed--> leaving --exited--> gone
//       any stage --malformed frame, deadline--> condemned --exited--> gone
//       any stage --exited--> gone
//
// A worker is gone when the fork server says so, never when its socket closes: only the server knows how it ended. What
// it had sent before is still in the socket then, and is read first, so an answer that was complete counts. At most one
// task is with a worker, and only a worker that is ready gets one: its death costs that task and no other.
//
// If the fork server goes, its workers are killed by the kernel and nobody learns how they ended: their tasks fail with
// that reason, and the next task starts a new server.
//
// A task that takes longer than it may is failed and taken off its worker, which is condemned. A task that may be made
// again goes in front of the queue when it threw or when its worker died; it keeps its request until its last attempt.
// Where the queue is closed and workers are leaving, one is started for it all the same.
//
// Whatever a worker sends is input from outside: a frame that is not allowed in its stage, too large or without its
// mark condemns it.
//
// Futures are finished here, so their callbacks run on this thread. They may submit to the pool; they never run in the
// middle of a change to the state above, which is why a task is taken off its worker before it is finished.
//
// What workers say, and their end, is in pool_manager_answers.cpp.

#include "pool_manager.hpp"

#include <tercet/multiprocessing/remote_exception.hpp>

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace tercet::multiprocessing {

namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t queue_tag = 0;
constexpr std::uint64_t server_tag = 1;
constexpr std::uint64_t first_worker_id = 2;

constexpr int allowed_start_failures = 3;
constexpr auto patience = 5s;  // with workers that were told to leave

void watch_fd(int epoll, int operation, int fd, std::uint32_t events, std::uint64_t tag) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = tag;
    if (::epoll_ctl(epoll, operation, fd, &event) != 0)
        throw std::system_error(errno, std::system_category(), "process_pool_executor: epoll_ctl");
}

/// Of a task that no worker has.
const char* reason_of_expiry(const remote_task& task) {
    return task.limits->has_begun ? "took longer than it may" : "had not begun in time";
}

}  // namespace

pool_manager::pool_manager(const process_pool_options& options, task_queue& queue, pool_report& report)
    : options_(options),
      queue_(queue),
      report_(report),
      max_workers_(options.max_workers),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      next_id_(first_worker_id) {
    if (!epoll_) throw std::system_error(errno, std::system_category(), "process_pool_executor: epoll_create1");
    watch_fd(epoll_.get(), EPOLL_CTL_ADD, queue_.wake_fd(), EPOLLIN, queue_tag);
    initialize_frame_.resize(sizeof(frame_head));
    const auto request = options.initializer.request();
    initialize_frame_.append(request.data(), request.size());
    complete_frame(initialize_frame_, frame_kind::initialize, options.max_message_bytes);
}

void pool_manager::run() noexcept {
    try {
        for (;;) {
            turn();
            if (is_finished()) break;
            wait_for_events();
        }
    } catch (const std::exception& e) {
        give_up(fmt::format("the pool's own thread failed: {}", e.what()));
    }
    close_socket(server_.socket);
}

void pool_manager::turn() {
    handle_timeouts();
    end_expired();
    if (queue_.size() != 0 && std::exchange(is_leaving_, false)) leave_deadline_ = clock::time_point::max();
    for (;;) {
        assign_tasks();
        const std::size_t waiting = start_workers();
        const bool has_use_for_a_task = !idle_.empty() || workers_.size() < max_workers_;
        if (!has_use_for_a_task || queue_.ask_for_wake(idle_.empty() ? waiting : 0)) break;
    }
    request_kills();
    if (queue_.is_closed() && queue_.size() == 0) leave();
}

void pool_manager::wait_for_events() {
    auto until = std::min(leave_deadline_, queue_.next_deadline());
    if (queue_.size() != 0 && next_start_ > clock::now()) until = std::min(until, next_start_);
    for (const auto& [id, worker] : workers_) {
        until = std::min(until, worker->deadline);
        if (worker->is_kill_due) until = std::min(until, clock::now() + 10ms);
    }
    int milliseconds = -1;
    if (until != clock::time_point::max()) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - clock::now()).count();
        milliseconds = static_cast<int>(std::clamp<decltype(left)>(left, 0, 60'000));
    }
    std::array<epoll_event, 64> events{};
    const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), milliseconds);
    for (int i = 0; i < count; ++i) {
        const auto& event = events[static_cast<std::size_t>(i)];
        const std::uint64_t tag = event.data.u64;  // a copy, since the kernel's struct is packed
        if (tag == queue_tag) {
            queue_.clear_wake();
        } else if (tag == server_tag) {
            on_server_readable();
        } else if (const auto found = workers_.find(tag); found != workers_.end()) {
            worker_channel& worker = *found->second;
            if ((event.events & EPOLLOUT) != 0) on_worker_writable(worker);
            if ((event.events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) read_frames(worker);
        }
    }
}

void pool_manager::handle_timeouts() {
    const auto now = clock::now();
    for (const auto& [id, worker] : workers_) {
        if (worker->deadline > now) continue;
        worker->deadline = clock::time_point::max();
        if (worker->at == stage::busy) {
            remote_task* const task = std::exchange(worker->task, nullptr);
            worker->outgoing = {};
            worker->outgoing_descriptors = {};
            condemn(*worker, "its task took longer than it may");
            task->expire("took longer than it may; its worker is killed and replaced");
            task->discard();
            continue;
        }
        if (!has_hello_) {
            fork_server::instance().give_up(server_.generation);
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
    while (remote_task* const task = expired.pop()) {
        task->expire(reason_of_expiry(*task));
        task->discard();
    }
}

// Tasks and workers.

void pool_manager::assign_tasks() {
    while (!idle_.empty()) {
        worker_channel& worker = *idle_.back();
        if (!give_task(worker)) return;
    }
}

/// Makes an idle worker busy. False: there is no task.
bool pool_manager::give_task(worker_channel& worker) {
    while (remote_task* const task = queue_.pop()) {
        const auto now = clock::now();
        if (task->deadline() <= now) task->expire(reason_of_expiry(*task));
        if (!task->begin()) {
            task->discard();
            continue;
        }
        if (task->limits && !std::exchange(task->limits->has_begun, true))
            task->limits->deadline = std::min(task->limits->deadline, task->limits->options.timeout.deadline(now));
        std::erase(idle_, &worker);
        worker.at = stage::busy;
        worker.task = task;
        worker.deadline = task->deadline();
        complete_frame(task->request, frame_kind::run);
        switch (worker.send(task->request.bytes(), task->descriptors)) {
            case io_status::done:
                on_sent(worker);
                break;
            case io_status::blocked:
                watch(worker, true);
                break;
            case io_status::closed:
                if (worker.sent != 0) break;  // the server is about to say how the worker ended
                worker.task = nullptr;        // nothing of it has left
                worker.deadline = clock::time_point::max();
                worker.at = stage::leaving;
                queue_.put_back(*task);
                break;
        }
        return true;
    }
    return false;
}

bool pool_manager::may_start_worker() const {
    return !is_broken_ && !is_leaving_ && workers_.size() < max_workers_ && next_start_ <= clock::now();
}

/// Starts workers for the tasks that wait, and returns how many do.
std::size_t pool_manager::start_workers() {
    const std::size_t waiting = queue_.size();
    while (waiting > idle_.size() + starting_ && may_start_worker())
        if (!start_worker()) break;
    return waiting;
}

/// One more worker can come, work and go without asking for memory, in the lack of which its task could be lost.
void pool_manager::make_room_for_worker() {
    idle_.reserve(workers_.size() + 1);
    const std::lock_guard lock(report_.mutex);
    report_.pids.reserve(workers_.size() + 1);
}

/// Asks the fork server for a worker. False: not now.
bool pool_manager::start_worker() {
    try {
        if (!server_.socket) {
            auto fresh = fork_server::instance().connect();
            watch_fd(epoll_.get(), EPOLL_CTL_ADD, fresh.socket.get(), EPOLLIN, server_tag);
            server_ = std::move(fresh);
            has_hello_ = false;
        }
        auto [ours, theirs] = make_socket_pair();
        set_nonblocking(ours.get());
        const std::uint64_t id = next_id_++;
        auto worker = std::make_unique<worker_channel>(id, std::move(ours), options_.max_message_bytes);
        make_room_for_worker();
        watch_fd(epoll_.get(), EPOLL_CTL_ADD, worker->socket.get(), EPOLLIN, id);
        const server_request request{.kind = server_request_kind::start_worker, .worker = id};
        if (send_record(server_.socket.get(), &request, sizeof request, theirs.get()) != io_status::done) {
            close_socket(worker->socket);
            next_start_ = clock::now() + 10ms;  // too many at once, or the server is gone, which its socket will tell
            return false;
        }
        worker->deadline = clock::now() + options_.start_timeout;
        if (worker->send(initialize_frame_.bytes(), options_.initializer.descriptors()) == io_status::blocked)
            watch(*worker, true);
        workers_.emplace(id, std::move(worker));
        ++starting_;
        return true;
    } catch (const std::system_error& e) {
        next_start_ = clock::now() + 50ms;
        note_start_failure(e.what());
        return false;
    }
}

/// A worker could not be started, or died before it was ready.
void pool_manager::note_start_failure(std::string reason) {
    last_reason_ = std::move(reason);
    ++start_failures_;
    if (start_failures_ < allowed_start_failures) return;
    if (ready_ != 0) {
        next_start_ = clock::now() + 1s;  // the others go on
        return;
    }
    if (starting_ != 0) {
        next_start_ = clock::time_point::max();  // until those that are starting have shown whether any can
        return;
    }
    break_down(fmt::format("process_pool_executor: {} workers running could not be started, the last one: {}",
                           start_failures_, last_reason_));
}

void pool_manager::on_worker_writable(worker_channel& worker) {
    const auto status = worker.send_more();
    if (status != io_status::blocked) watch(worker, false);
    if (status == io_status::done) on_sent(worker);
}

/// Sees to it that the worker is killed; what it says does not count any more.
void pool_manager::condemn(worker_channel& worker, std::string verdict) {
    if (worker.at == stage::condemned) return;
    worker.verdict = std::move(verdict);
    if (worker.at == stage::starting) {
        --starting_;
        worker.is_start_failure = true;
    } else {
        --ready_;
    }
    std::erase(idle_, &worker);
    worker.at = stage::condemned;
    worker.is_kill_due = true;
    worker.deadline = clock::time_point::max();
    // The socket stays open until the worker is gone: it must see the kill, not its end of the line.
    if (worker.socket) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, worker.socket.get(), nullptr);
    publish_pids();
}

void pool_manager::request_kills() {
    if (!server_.socket) return;
    for (const auto& [id, worker] : workers_) {
        if (!worker->is_kill_due) continue;
        const server_request request{.kind = server_request_kind::kill_worker, .worker = id};
        worker->is_kill_due = send_record(server_.socket.get(), &request, sizeof request) == io_status::blocked;
    }
}

void pool_manager::watch(worker_channel& worker, bool for_room) {
    if (!worker.socket || worker.waits_for_room == for_room) return;
    worker.waits_for_room = for_room;
    watch_fd(epoll_.get(), EPOLL_CTL_MOD, worker.socket.get(), for_room ? EPOLLIN | EPOLLOUT : EPOLLIN, worker.id);
}

// The fork server.

void pool_manager::on_server_readable() {
    while (server_.socket) {
        server_event event;
        switch (receive_record(server_.socket.get(), &event, sizeof event)) {
            case io_status::done:
                on_server_event(event);
                break;
            case io_status::blocked:
                return;
            case io_status::closed:
                on_server_lost();
                return;
        }
    }
}

void pool_manager::on_server_event(const server_event& event) {
    if (event.kind == server_event_kind::hello) {
        has_hello_ = event.token == server_.token;
        if (has_hello_) fork_server::instance().note_answer(server_.generation);
        return;
    }
    if (event.kind == server_event_kind::usage) {
        const std::lock_guard lock(report_.mutex);
        report_.usage.cpu_seconds += event.cpu_seconds;
        report_.usage.peak_rss_bytes += event.peak_rss_bytes;
        usage_is_known_ = true;
        return;
    }
    const auto found = workers_.find(event.worker);
    if (found == workers_.end()) return;
    worker_channel& worker = *found->second;
    if (event.kind == server_event_kind::started) {
        worker.pid = event.pid;
    } else if (event.kind == server_event_kind::exited) {
        on_exit(worker, event);
    } else if (event.kind == server_event_kind::start_failed) {
        if (worker.at == stage::starting) --starting_;
        close_socket(worker.socket);
        workers_.erase(found);
        next_start_ = clock::now() + 50ms;
        note_start_failure(fmt::format("fork: {}", std::strerror(event.status)));
    }
}

void pool_manager::on_server_lost() {
    close_socket(server_.socket);
    const auto ending = fork_server::instance().end_of(server_.generation);
    const auto lost = std::exchange(workers_, {});
    const bool was_starting = starting_ != 0;
    for (const auto& [id, worker] : lost) {
        worker->is_gone = true;
        read_frames(*worker);
        close_socket(worker->socket);
    }
    idle_.clear();
    starting_ = ready_ = 0;
    publish_pids();
    for (const auto& [id, worker] : lost)
        fail_task(*worker, fmt::format("the fork server had ended ({}), and workers end with it", ending.text), 0, -1);
    if (ending.was_terminated)
        break_down(fmt::format("process_pool_executor: {}", ending.text));
    else if (was_starting || !has_hello_)
        note_start_failure(fmt::format("the fork server ended: {}", ending.text));
}

// The end.

/// The queue is closed and empty: workers leave as soon as they are idle.
void pool_manager::leave() {
    if (!is_leaving_) {
        is_leaving_ = true;
        leave_deadline_ = clock::time_point::max();
    }
    for (worker_channel* const worker : idle_) {
        worker->at = stage::leaving;
        ::shutdown(worker->socket.get(), SHUT_WR);
    }
    idle_.clear();
    const bool is_busy = std::ranges::any_of(workers_, [](const auto& each) {
        return each.second->at == stage::busy || each.second->at == stage::starting;
    });
    if (!is_busy && leave_deadline_ == clock::time_point::max()) leave_deadline_ = clock::now() + patience;
    if (workers_.empty() && server_.socket && !usage_is_asked_) {
        const server_request request{.kind = server_request_kind::report_usage};
        usage_is_asked_ = send_record(server_.socket.get(), &request, sizeof request) == io_status::done;
    }
}

bool pool_manager::is_finished() const {
    return is_leaving_ && workers_.empty() && (usage_is_known_ || !server_.socket);
}

/// Fails everything that waits; what runs may go on to its end.
void pool_manager::break_down(const std::string& reason) {
    if (std::exchange(is_broken_, true)) return;
    queue_.break_down(reason);
    auto tasks = queue_.take_all();
    while (remote_task* const task = tasks.pop()) task->fail(std::make_exception_ptr(broken_process_pool(reason)));
    for (const auto& [id, worker] : workers_)
        if (worker->at == stage::starting) condemn(*worker, "the pool is broken");
}

/// Leaves the workers to the fork server, which kills them when it sees that the pool is gone.
void pool_manager::give_up(const std::string& reason) {
    break_down(fmt::format("process_pool_executor: {}", reason));
    close_socket(server_.socket);
    const auto lost = std::exchange(workers_, {});
    for (const auto& [id, worker] : lost) close_socket(worker->socket);
    idle_.clear();
    starting_ = ready_ = 0;
    publish_pids();
    for (const auto& [id, worker] : lost) fail_task(*worker, reason, 0, -1);
}

/// Lets a socket go that was watched, and tells the other side. Closing alone would do neither while a copy of this
/// process, made by fork(), has the socket too.
void pool_manager::close_socket(unique_fd& socket) noexcept {
    if (!socket) return;
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, socket.get(), nullptr);
    ::shutdown(socket.get(), SHUT_RDWR);
    socket.reset();
}

void pool_manager::publish_pids() {
    const std::lock_guard lock(report_.mutex);
    report_.pids.clear();
    for (const auto& [id, worker] : workers_)
        if (worker->pid != 0 && (worker->at == stage::idle || worker->at == stage::busy))
            report_.pids.push_back(worker->pid);
}

}  // namespace tercet::multiprocessing
