// The process is single-threaded as far as tercet is concerned, so that its copies are whole. It waits for:
//
//   control socket   a byte brings the socket of one more pool; end of file: the parent is gone, or wants everyone gone
//   parent           a pidfd: the parent is gone, although a copy of it still holds the sockets
//   signals          SIGCHLD: workers have ended; their pools are told how, and what they have used
//   pools            requests; end of file: the pool is gone, so its workers are killed; a `process` is a pool with one
//
// Workers are told by the kernel to die with this process (PR_SET_PDEATHSIG); since the signal follows the thread that
// forked, and a worker may be late to ask for it, the worker looks for its parent once more after asking.
//
// Events for a pool that does not read are kept here and never waited for: a pool that stands still must not stop the
// others.

#include "fork_server_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <memory>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "end_process.hpp"
#include "fork_server_protocol.hpp"
#include "frame.hpp"
#include "process_child.hpp"
#include "socket.hpp"
#include "worker_process.hpp"

namespace tercet::multiprocessing {

namespace {

double seconds(const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

void add_usage(server_event& event, const rusage& used) {
    event.cpu_seconds = seconds(used.ru_utime) + seconds(used.ru_stime);
    event.peak_rss_bytes = static_cast<std::uint64_t>(used.ru_maxrss) * 1024;
}

rusage own_usage() {
    rusage used{};
    ::getrusage(RUSAGE_SELF, &used);
    return used;
}

/// A pool of the parent.
struct client {
    double cpu_seconds_before = 0;  // what the server had used when the pool came
    unique_fd socket;
    std::vector<server_event> events;  // not sent yet, the first one perhaps in part
    std::size_t sent_bytes = 0;
    bool is_gone = false;

    void send(const server_event& event) {
        events.push_back(event);
        flush();
    }

    void flush() {
        if (events.empty()) return;
        const auto status = send_bytes(socket.get(), std::as_bytes(std::span(events)), sent_bytes);
        if (status == io_status::closed) is_gone = true;
        const auto whole = static_cast<std::ptrdiff_t>(sent_bytes / sizeof(server_event));
        events.erase(events.begin(), events.begin() + whole);
        sent_bytes %= sizeof(server_event);
    }
};

class fork_server_process {
public:
    explicit fork_server_process(std::uint64_t token);
    [[noreturn]] void run();

private:
    struct child {
        std::shared_ptr<client> owner;
        std::uint64_t worker;
    };

    void accept_client();
    void serve(const std::shared_ptr<client>& pool);
    void start(const std::shared_ptr<client>& pool, const server_request& request, unique_fd socket);
    void send_signal(const client& pool, std::uint64_t worker, int signal);
    void collect_children();
    void remove_gone_clients();
    [[noreturn]] void become(server_request_kind kind, unique_fd socket);
    [[noreturn]] void end();

    std::uint64_t token_;
    pid_t pid_ = ::getpid();
    unique_fd control_{inherited_control_fd};
    unique_fd parent_{inherited_parent_fd};
    unique_fd signals_;
    std::vector<std::shared_ptr<client>> clients_;
    bool has_had_pools_ = false;
    std::unordered_map<pid_t, child> children_;
};

fork_server_process::fork_server_process(std::uint64_t token) : token_(token) {
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
        if (::fcntl(fd, F_GETFD) < 0) ::open("/dev/null", fd == STDIN_FILENO ? O_RDONLY : O_WRONLY);
    for (const int fd : {inherited_control_fd, inherited_parent_fd}) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
    std::signal(SIGINT, SIG_IGN);
    std::signal(SIGCHLD, SIG_DFL);
    sigset_t mask;
    ::sigemptyset(&mask);
    ::sigaddset(&mask, SIGCHLD);
    ::sigprocmask(SIG_SETMASK, &mask, nullptr);
    signals_ = unique_fd(::signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!signals_) end_process(1);
    ::prctl(PR_SET_NAME, "tercet-server");
    // What static objects have printed must not be printed again by each worker.
    std::cout.flush();
    std::fflush(nullptr);
}

void fork_server_process::run() {
    std::vector<pollfd> waited;
    for (;;) {
        waited.clear();
        waited.push_back({control_.get(), POLLIN, 0});
        waited.push_back({parent_.get(), POLLIN, 0});
        waited.push_back({signals_.get(), POLLIN, 0});
        for (const auto& each : clients_)
            waited.push_back(
                {each->socket.get(), static_cast<short>(each->events.empty() ? POLLIN : POLLIN | POLLOUT), 0});
        if (::poll(waited.data(), waited.size(), -1) < 0) {
            if (errno == EINTR || errno == ENOMEM) continue;
            end();
        }
        if (waited[1].revents != 0) end();
        if (waited[2].revents != 0) collect_children();
        const auto clients = clients_;  // as they stood when `waited` was made
        for (std::size_t i = 0; i < clients.size(); ++i) {
            const short events = waited[3 + i].revents;
            if ((events & POLLOUT) != 0) clients[i]->flush();
            if ((events & (POLLIN | POLLHUP | POLLERR)) != 0) serve(clients[i]);
        }
        if (waited[0].revents != 0) accept_client();
        remove_gone_clients();
    }
}

void fork_server_process::accept_client() {
    char mark = 0;
    unique_fd socket;
    if (receive_record(control_.get(), &mark, sizeof mark, &socket) == io_status::closed) end();
    if (!socket) return;  // no room for its descriptor here; the pool sees its end closed
    set_nonblocking(socket.get());
    clients_.push_back(std::make_shared<client>());
    clients_.back()->socket = std::move(socket);
    // The first pool is the reason for which the server was started, and is charged for that.
    if (std::exchange(has_had_pools_, true)) {
        server_event so_far;
        add_usage(so_far, own_usage());
        clients_.back()->cpu_seconds_before = so_far.cpu_seconds;
    }
    clients_.back()->send({.kind = server_event_kind::hello, .pid = pid_, .token = token_});
}

void fork_server_process::serve(const std::shared_ptr<client>& pool) {
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
                start(pool, request, std::move(passed));
                break;
            case server_request_kind::send_signal:
                send_signal(*pool, request.worker, static_cast<int>(request.signal));
                break;
            case server_request_kind::report_usage: {
                server_event event{.kind = server_event_kind::usage, .pid = pid_};
                add_usage(event, own_usage());
                event.cpu_seconds -= pool->cpu_seconds_before;
                pool->send(event);
                break;
            }
        }
    }
}

void fork_server_process::start(const std::shared_ptr<client>& pool, const server_request& request, unique_fd socket) {
    const std::uint64_t worker = request.worker;
    if (!socket) {
        pool->send({.kind = server_event_kind::start_failed, .worker = worker, .status = EMFILE});
        return;
    }
    const pid_t pid = ::fork();
    if (pid == 0) become(request.kind, std::move(socket));
    if (pid < 0) {
        pool->send({.kind = server_event_kind::start_failed, .worker = worker, .status = errno});
        return;
    }
    socket.reset();  // soon: while it is here, too, a task can be sent to a worker that is dead
    children_.emplace(pid, child{pool, worker});
    pool->send({.kind = server_event_kind::started, .pid = pid, .worker = worker});
}

void fork_server_process::become(server_request_kind kind, unique_fd socket) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != pid_) end_process(1);
    for (const auto& each : clients_) each->socket.reset();
    control_.reset();
    signals_.reset();
    if (kind == server_request_kind::start_process) {
        parent_.reset();
        run_process(std::move(socket));
    }
    ::prctl(PR_SET_NAME, "tercet-worker");
    run_worker(std::move(socket), std::move(parent_));
}

void fork_server_process::send_signal(const client& pool, std::uint64_t worker, int signal) {
    for (const auto& [pid, each] : children_)
        if (each.owner.get() == &pool && each.worker == worker) ::kill(pid, signal);
}

void fork_server_process::collect_children() {
    signalfd_siginfo info{};
    while (::read(signals_.get(), &info, sizeof info) > 0) {
    }
    for (;;) {
        int status = 0;
        rusage used{};
        const pid_t pid = ::wait4(-1, &status, WNOHANG, &used);
        if (pid <= 0) return;
        const auto found = children_.find(pid);
        if (found == children_.end()) continue;  // a static object of the program has started it
        server_event event{
            .kind = server_event_kind::exited, .pid = pid, .worker = found->second.worker, .status = status};
        add_usage(event, used);
        found->second.owner->send(event);
        children_.erase(found);
    }
}

void fork_server_process::remove_gone_clients() {
    for (const auto& pool : clients_) {
        if (!pool->is_gone) continue;
        for (const auto& [pid, each] : children_)
            if (each.owner == pool) ::kill(pid, SIGKILL);
    }
    std::erase_if(clients_, [](const auto& pool) { return pool->is_gone; });
}

void fork_server_process::end() {
    for (const auto& [pid, each] : children_) ::kill(pid, SIGKILL);
    for (const auto& [pid, each] : children_)  // and for no others, which a static object may have started
        while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
        }
    end_process(0);
}

}  // namespace

void run_fork_server(std::uint64_t token) {
    try {
        fork_server_process(token).run();
    } catch (...) {
        end_process(1);  // no memory; the pools find out by their sockets
    }
}

}  // namespace tercet::multiprocessing
