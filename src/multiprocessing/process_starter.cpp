// It waits for:
//
//   control socket   a byte brings the socket of one more pool; end of file: everyone is to go
//   parent           a pidfd: the program is gone, although a copy of it still holds the sockets
//   ends             children have ended; their pools are told how, and what they have used
//   pools            requests; end of file: the pool is gone, so its workers are killed; a `process` is a pool with one
//
// Events for a pool that does not read are kept here and never waited for: a pool that stands still must not stop the
// others.

#include "process_starter.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <span>
#include <utility>

#include "frame.hpp"
#include "pidfd.hpp"
#include "socket.hpp"

namespace tercet::multiprocessing {

namespace {

double seconds(const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

}  // namespace

void process_starter::client::send(const server_event& event) {
    events.push_back(event);
    flush();
}

void process_starter::client::flush() {
    if (events.empty()) return;
    const auto status = send_bytes(socket.get(), std::as_bytes(std::span(events)), sent_bytes);
    if (status == io_status::closed) is_gone = true;
    const auto whole = static_cast<std::ptrdiff_t>(sent_bytes / sizeof(server_event));
    events.erase(events.begin(), events.begin() + whole);
    sent_bytes %= sizeof(server_event);
}

process_starter::usage process_starter::usage_of(const rusage& used) noexcept {
    return {seconds(used.ru_utime) + seconds(used.ru_stime), static_cast<std::uint64_t>(used.ru_maxrss) * 1024};
}

void process_starter::serve() {
    std::vector<pollfd> waited;
    for (;;) {
        waited.clear();
        waited.push_back({control_.get(), POLLIN, 0});
        waited.push_back({parent_.get(), POLLIN, 0});
        waited.push_back({ends_.get(), POLLIN, 0});
        for (const auto& each : clients_)
            waited.push_back(
                {each->socket.get(), static_cast<short>(each->events.empty() ? POLLIN : POLLIN | POLLOUT), 0});
        if (::poll(waited.data(), waited.size(), -1) < 0) {
            if (errno == EINTR || errno == ENOMEM) continue;
            return;
        }
        if (waited[1].revents != 0) return;
        if (waited[2].revents != 0) collect_children();
        const auto clients = clients_;  // as they stood when `waited` was made
        for (std::size_t i = 0; i < clients.size(); ++i) {
            const short events = waited[3 + i].revents;
            if ((events & POLLOUT) != 0) clients[i]->flush();
            if ((events & (POLLIN | POLLHUP | POLLERR)) != 0) serve_client(clients[i]);
        }
        if (waited[0].revents != 0 && !accept_client()) return;
        remove_gone_clients();
    }
}

/// False: there will be no more.
bool process_starter::accept_client() {
    char mark = 0;
    unique_fd socket;
    if (receive_record(control_.get(), &mark, sizeof mark, &socket) == io_status::closed) return false;
    if (!socket) return true;  // no room for its descriptor here; the pool sees its end closed
    set_nonblocking(socket.get());
    clients_.push_back(std::make_shared<client>());
    clients_.back()->socket = std::move(socket);
    // The first pool is the reason for which the starter is there, and is charged for that.
    if (std::exchange(has_had_pools_, true)) clients_.back()->cpu_seconds_before = own_usage().cpu_seconds;
    clients_.back()->send({.kind = server_event_kind::hello, .pid = pid_, .token = token_});
    return true;
}

void process_starter::serve_client(const std::shared_ptr<client>& pool) {
    for (;;) {
        server_request request;
        unique_fd passed;
        const auto status = receive_record(pool->socket.get(), &request, sizeof request, &passed);
        if (status == io_status::blocked) return;
        if (status == io_status::closed) {
            pool->is_gone = true;
            return;
        }
        switch (request.kind) {
            case server_request_kind::start_worker:
            case server_request_kind::start_process:
            case server_request_kind::spawn_worker:
            case server_request_kind::spawn_process:
                start(pool, request, std::move(passed));
                break;
            case server_request_kind::send_signal:
                send_signal(*pool, request.worker, static_cast<int>(request.signal));
                break;
            case server_request_kind::report_usage: {
                const usage used = own_usage();
                pool->send({.kind = server_event_kind::usage,
                            .pid = pid_,
                            .cpu_seconds = used.cpu_seconds - pool->cpu_seconds_before,
                            .peak_rss_bytes = used.peak_rss_bytes});
                break;
            }
        }
    }
}

void process_starter::start(const std::shared_ptr<client>& pool, const server_request& request, unique_fd socket) {
    started begun{.error = EMFILE};
    if (socket) begun = start_child(request, socket);
    if (begun.error != 0) {
        pool->send({.kind = server_event_kind::start_failed, .worker = request.worker, .status = begun.error});
        return;
    }
    socket.reset();  // soon: while it is here, too, a task can be sent to a worker that is dead
    const bool is_worker =
        request.kind == server_request_kind::start_worker || request.kind == server_request_kind::spawn_worker;
    children_.insert_or_assign(begun.pid, child{pool, request.worker, std::move(begun.pidfd), is_worker});
    pool->send({.kind = server_event_kind::started, .pid = begun.pid, .worker = request.worker});
}

void process_starter::send_signal(const client& pool, std::uint64_t worker, int signal) {
    for (const auto& [pid, each] : children_) {
        if (each.owner.get() != &pool || each.worker != worker) continue;
        if (each.pidfd)
            send_signal_to(each.pidfd, signal);
        else
            ::kill(pid, signal);
    }
}

void process_starter::report_end(std::unordered_map<pid_t, child>::iterator ended, int status, const rusage& used) {
    const auto [cpu_seconds, peak_rss_bytes] = usage_of(used);
    ended->second.owner->send({.kind = server_event_kind::exited,
                               .pid = ended->first,
                               .worker = ended->second.worker,
                               .status = status,
                               .cpu_seconds = cpu_seconds,
                               .peak_rss_bytes = peak_rss_bytes});
    children_.erase(ended);
}

void process_starter::remove_gone_clients() {
    for (const auto& pool : clients_) {
        if (!pool->is_gone) continue;
        for (const auto& [pid, each] : children_)
            if (each.owner == pool) send_signal(*pool, each.worker, SIGKILL);
    }
    std::erase_if(clients_, [](const auto& pool) { return pool->is_gone; });
}

void process_starter::kill_children() {
    for (const auto& [pid, each] : children_) {
        if (each.pidfd)
            send_signal_to(each.pidfd, SIGKILL);
        else
            ::kill(pid, SIGKILL);
        if (!each.leads_a_group) continue;
        siginfo_t state{};
        const bool is_reaped = each.pidfd && ::waitid(P_PIDFD, static_cast<id_t>(each.pidfd.get()), &state,
                                                      WEXITED | WNOHANG | WNOWAIT) != 0;
        if (!is_reaped) ::kill(-pid, SIGKILL);
    }
}

void process_starter::kill_what_is_left(pid_t leader, const siginfo_t& ended) noexcept {
    const auto found = children_.find(leader);
    if (found == children_.end() || !found->second.leads_a_group) return;
    const bool has_failed = ended.si_code == CLD_KILLED || ended.si_code == CLD_DUMPED ||
                            (ended.si_code == CLD_EXITED && ended.si_status != 0);
    if (has_failed) ::kill(-leader, SIGKILL);  // the number is nobody else's before it is reaped
}

void process_starter::end_lines() noexcept {
    for (const auto& each : clients_) ::shutdown(each->socket.get(), SHUT_RDWR);
}

void process_starter::close_lines() noexcept {
    for (const auto& each : clients_) each->socket.reset();
    for (auto& [pid, each] : children_) each.pidfd.reset();
    control_.reset();
    ends_.reset();
}

}  // namespace tercet::multiprocessing
