// Workers and the fork server: how they start, and how they end. The rules stand in pool_manager.cpp.

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <new>
#include <system_error>
#include <thread>
#include <utility>

#include "default_start_method.hpp"
#include "fork_server.hpp"
#include "futures/text_of.hpp"
#include "oom_kills.hpp"
#include "pool_manager.hpp"
#include "pool_manager_epoll.hpp"
#include "read_crash_record.hpp"

namespace tercet::multiprocessing {

namespace {

using namespace std::chrono_literals;

constexpr int allowed_start_failures = 3;

unique_fd duplicate(int fd) {
    unique_fd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
    if (!copy) throw std::system_error(errno, std::system_category(), "process_pool_executor: fcntl(F_DUPFD_CLOEXEC)");
    return copy;
}

}  // namespace

bool pool_manager::may_start_worker() const {
    return !is_broken_ && !is_leaving_ && workers_.size() < max_workers_ && next_start_ <= clock::now();
}

/// Starts workers for the tasks that wait, and returns how many do.
std::size_t pool_manager::start_workers() {
    const std::size_t waiting = queue_.size();
    while ((waiting > idle_.size() + starting_ || active() < wanted_workers()) && may_start_worker())
        if (!start_worker()) break;
    if (active() >= max_workers_ || is_broken_ || queue_.is_closed()) is_warming_up_ = false;
    return waiting;
}

/// One more worker can come, work and go without asking for memory, in the lack of which its task could be lost.
void pool_manager::make_room_for_worker() {
    idle_.reserve(workers_.size() + 1);
    looked_at_.reserve(workers_.size() + 1);
    const std::lock_guard lock(report_.mutex);
    report_.pids.reserve(workers_.size() + 1);
}

start_service& pool_manager::service() const { return start_service_for(*options_.start_method); }

/// Asks the fork server for a worker. False: not now.
bool pool_manager::start_worker() {
    try {
        if (!server_.socket) {
            auto fresh = service().connect();
            watch_fd(epoll_.get(), EPOLL_CTL_ADD, fresh.socket.get(), EPOLLIN, server_tag);
            server_ = std::move(fresh);
            has_hello_ = false;
        }
        unique_fd segment_file;
        auto segment = worker_segment::make(segment_file);
        auto [ours, theirs] = make_socket_pair();
        set_nonblocking(ours.get());
        const std::uint64_t id = next_id_++;
        auto worker =
            std::make_shared<worker_channel>(id, std::move(ours), std::move(segment), options_.max_message_bytes);
        worker->first_descriptors.push_back(std::move(segment_file));
        worker->first_descriptors.push_back(duplicate(bell_.get()));
        worker->stop_bell = make_eventfd();
        worker->first_descriptors.push_back(duplicate(worker->stop_bell.get()));
        worker->first_descriptors.push_back(duplicate(loop_bell_.get()));
        for (const auto& each : options_.initializer.descriptors())
            worker->first_descriptors.push_back(duplicate(each.get()));
        make_room_for_worker();
        watch_fd(epoll_.get(), EPOLL_CTL_ADD, worker->socket.get(), EPOLLIN, id);
        const bool is_fresh_start = options_.start_method == start_method::spawn;
        const server_request request{
            .kind = is_fresh_start ? server_request_kind::spawn_worker : server_request_kind::start_worker,
            .worker = id,
            .start_method = default_start_method()};
        if (send_record(server_.socket.get(), &request, sizeof request, theirs.get()) != io_status::done) {
            close_socket(worker->socket);
            next_start_ = clock::now() + 10ms;  // too many at once, or the server is gone, which its socket will tell
            return false;
        }
        worker->deadline = clock::now() + options_.start_timeout;
        if (worker->send(initialize_frame_.bytes(), worker->first_descriptors) == io_status::blocked)
            watch(*worker, true);
        workers_.emplace(id, std::move(worker));
        ++starting_;
        ++started_;
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
    if (is_given_up(worker)) return;
    const auto status = worker.send_more();
    if (status != io_status::blocked) watch(worker, false);
    if (status == io_status::done) on_sent(worker);
}

/// Sees to it that the worker is killed; what it says does not count any more.
void pool_manager::condemn(worker_channel& worker, std::string_view verdict) noexcept {
    if (is_given_up(worker)) return;
    try {
        worker.verdict = verdict;
    } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): then nobody learns why
    }
    if (worker.at == stage::starting) {
        --starting_;
        worker.is_start_failure = true;
    } else if (worker.at != stage::leaving) {
        --ready_;
    }
    std::erase(idle_, &worker);
    worker.at = stage::condemned;
    worker.due_signal = SIGKILL;
    worker.deadline = clock::time_point::max();
    worker.forget_outgoing();
    // The socket stays open until the worker is gone: it must see the kill, not its end of the line.
    if (worker.socket) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, worker.socket.get(), nullptr);
    publish_pids();
}

void pool_manager::send_due_signals() {
    if (!server_.socket) return;
    for (const auto& [id, worker] : workers_) {
        if (worker->due_signal == 0) continue;
        const server_request request{.kind = server_request_kind::send_signal,
                                     .signal = static_cast<std::uint32_t>(worker->due_signal),
                                     .worker = id};
        if (send_record(server_.socket.get(), &request, sizeof request) != io_status::blocked) worker->due_signal = 0;
    }
}

void pool_manager::watch(worker_channel& worker, bool for_room) noexcept {
    if (!worker.socket || is_given_up(worker) || worker.waits_for_room == for_room) return;
    try {
        watch_fd(epoll_.get(), EPOLL_CTL_MOD, worker.socket.get(), for_room ? EPOLLIN | EPOLLOUT : EPOLLIN, worker.id);
        worker.waits_for_room = for_room;
    } catch (const std::system_error&) {
        condemn(worker, "its socket cannot be watched");
    }
}

// The fork server.

void pool_manager::on_server_readable(lock_type& lock) {
    while (server_.socket) {
        server_event event;
        switch (receive_record(server_.socket.get(), &event, sizeof event)) {
            case io_status::done:
                on_server_event(event, lock);
                break;
            case io_status::blocked:
                return;
            case io_status::closed:
                on_server_lost(lock);
                return;
        }
    }
}

void pool_manager::on_server_event(const server_event& event, lock_type& lock) {
    if (event.kind == server_event_kind::hello) {
        has_hello_ = event.token == server_.token;
        if (has_hello_) service().note_answer(server_.generation);
        return;
    }
    if (event.kind == server_event_kind::usage) {
        const std::lock_guard report_lock(report_.mutex);
        report_.usage.cpu_seconds += event.cpu_seconds;
        report_.usage.peak_rss_bytes += event.peak_rss_bytes;
        usage_is_known_ = true;
        return;
    }
    const auto found = workers_.find(event.worker);
    if (found == workers_.end()) return;
    const channel_pointer channel = found->second;
    worker_channel& worker = *channel;
    if (event.kind == server_event_kind::started) {
        worker.pid = event.pid;
    } else if (event.kind == server_event_kind::exited) {
        on_exit(channel, event, lock);
    } else if (event.kind == server_event_kind::start_failed) {
        if (worker.at == stage::starting) --starting_;
        close_socket(worker.socket);
        workers_.erase(found);
        next_start_ = clock::now() + 50ms;
        note_start_failure(fmt::format("fork: {}", std::strerror(event.status)));
    }
}

void pool_manager::on_server_lost(lock_type& lock) {
    close_socket(server_.socket);
    const auto ending = service().end_of(server_.generation);
    const std::string how = text_of(
        [&ending] { return fmt::format("the fork server had ended ({}), and workers end with it", ending.text); });
    const auto lost = std::exchange(workers_, {});
    const bool was_starting = starting_ != 0;
    died_ += lost.size();
    for (const auto& [id, worker] : lost) {
        worker->is_gone = true;
        wait_for_readers(*worker, lock);
        try {
            read_frames(worker, lock);
            while (read_answers(worker, lock) != 0) {
            }
        } catch (const std::bad_alloc&) {  // what it has answered and nobody could read is lost with it
            if (!lock.owns_lock()) lock.lock();
        }
        close_socket(worker->socket);
        worker->at = stage::gone;
    }
    idle_.clear();
    filling_ = nullptr;
    starting_ = ready_ = 0;
    publish_pids();
    for (const auto& [id, worker] : lost) fail_tasks(*worker, how, 0, -1);
    if (ending.was_terminated)
        break_down(text_of([&ending] { return fmt::format("process_pool_executor: {}", ending.text); }));
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
    while (!idle_.empty()) retire(*idle_.back());
    const bool is_busy = std::ranges::any_of(workers_, [](const auto& each) {
        return each.second->at == stage::busy || each.second->at == stage::starting;
    });
    if (!is_busy && leave_deadline_ == clock::time_point::max()) leave_deadline_ = clock::now() + patience;
    if (workers_.empty() && server_.socket && !usage_is_asked_) {
        const server_request request{.kind = server_request_kind::report_usage};
        usage_is_asked_ = send_record(server_.socket.get(), &request, sizeof request) == io_status::done;
    }
}

/// Fails everything that waits; what runs may go on to its end.
void pool_manager::break_down(std::string reason) noexcept {
    if (std::exchange(is_broken_, true)) return;
    queue_.break_down(std::move(reason));
    auto tasks = queue_.take_all();
    while (remote_task* const task = tasks.pop())
        end_task(*task, exception_of([this] { return broken_process_pool(queue_.broken_reason()); }));
    for (const auto& [id, worker] : workers_)
        if (worker->at == stage::starting) condemn(*worker, "the pool is broken");
}

/// Leaves the workers to the fork server, which kills them when it sees that the pool is gone.
void pool_manager::give_up(const std::string& reason) noexcept {
    break_down(text_of([&reason] { return "process_pool_executor: " + reason; }));
    close_socket(server_.socket);
    const auto lost = std::exchange(workers_, {});
    for (const auto& [id, worker] : lost) {
        close_socket(worker->socket);
        worker->at = stage::gone;
        worker->is_gone = true;
    }
    idle_.clear();
    filling_ = nullptr;
    starting_ = ready_ = 0;
    publish_pids();
    for (const auto& [id, worker] : lost) fail_tasks(*worker, reason, 0, -1);  // none goes back into the queue now
}

/// Lets a socket go that was watched, and tells the other side. Closing alone would do neither while a copy of this
/// process, made by fork(), has the socket too.
void pool_manager::close_socket(unique_fd& socket) noexcept {
    if (!socket) return;
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, socket.get(), nullptr);
    ::shutdown(socket.get(), SHUT_RDWR);
    socket.reset();
}

/// Until no other thread finishes answers of the worker.
void pool_manager::wait_for_readers(worker_channel& worker, lock_type& lock) noexcept {
    while (worker.is_being_read) {
        lock.unlock();
        std::this_thread::yield();
        lock.lock();
    }
}

void pool_manager::publish_pids() noexcept {
    const std::lock_guard report_lock(report_.mutex);
    report_.pids.clear();
    for (const auto& [id, worker] : workers_)
        if (worker->pid != 0 && (worker->at == stage::idle || worker->at == stage::busy))
            report_.pids.push_back(worker->pid);
}

/// What else can be known about a worker that died of a signal. Without the mutex.
pool_manager::last_words pool_manager::last_words_of(const worker_channel& worker, int signal) {
    if (signal == SIGKILL) {
        const auto kills = oom_kills();
        const bool is_out_of_memory = kills && oom_kills_ && *kills > *oom_kills_;
        if (kills) oom_kills_ = kills;
        return {
            is_out_of_memory ? "there was no memory left, and the kernel killed a process of its control group" : "",
            nullptr};
    }
    auto report = read_crash_record(worker.segment.head().crash);
    if (!report || report->signal != signal) return {};
    std::string text = report->reason();
    if (const std::string function = report->function(); !function.empty())
        text += fmt::format("{}in {}", text.empty() ? "" : ", ", function);
    return {std::move(text), std::make_shared<const crash_report>(std::move(*report))};
}

void pool_manager::on_exit(const channel_pointer& channel, const server_event& event, lock_type& lock) {
    worker_channel& worker = *channel;
    if (worker.is_being_read) {  // once that is over
        worker.exit = event;
        return;
    }
    worker.exit.reset();
    worker.is_gone = true;
    if (WIFSIGNALED(event.status)) {
        lock.unlock();
        last_words words;
        try {
            words = last_words_of(worker, WTERMSIG(event.status));
        } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): no memory to say more
        }
        lock.lock();
        wait_for_readers(worker, lock);
        if (worker.verdict.empty()) worker.verdict = std::move(words.text);
        worker.crash = std::move(words.crash);
    }
    read_frames(channel, lock);  // an answer that was complete counts
    while (read_answers(channel, lock) != 0) {
    }
    close_socket(worker.socket);
    const bool was_starting = worker.at == stage::starting;
    {
        const std::lock_guard report_lock(report_.mutex);
        report_.usage.cpu_seconds += event.cpu_seconds;
        report_.usage.peak_rss_bytes += event.peak_rss_bytes;
    }
    worker.pid = event.pid;
    const int signal = WIFSIGNALED(event.status) ? WTERMSIG(event.status) : 0;
    const int exit_code = event.status == lost_wait_status ? -1 : signal == 0 ? WEXITSTATUS(event.status) : 0;
    std::string how = describe_wait_status(event.status);
    if (!worker.verdict.empty()) how += fmt::format(" ({})", worker.verdict);
    if (was_starting) --starting_;
    if (worker.at == stage::idle || worker.at == stage::busy) --ready_;
    if (worker.at != stage::leaving || event.status != 0) ++died_;
    std::erase(idle_, &worker);
    if (filling_ == &worker) filling_ = nullptr;
    worker.at = stage::gone;
    workers_.erase(worker.id);
    publish_pids();
    fail_tasks(worker, how, signal, exit_code);
    if (was_starting || worker.is_start_failure)
        note_start_failure(fmt::format("worker (pid {}) died: {}", worker.pid, how));
}

}  // namespace tercet::multiprocessing
