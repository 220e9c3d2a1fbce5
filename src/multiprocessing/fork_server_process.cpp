// The process is single-threaded as far as tercet is concerned, so that its copies are whole. What it does for pools
// stands in process_starter.cpp. It hears by SIGCHLD that workers have ended. Each of them is its direct child, and it
// alone waits for them, so a pid that it knows is theirs.
//
// Workers are told by the kernel to die with this process (PR_SET_PDEATHSIG); since the signal follows the thread that
// forked, and a worker may be late to ask for it, the worker looks for its parent once more after asking.

#include "fork_server_process.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <utility>

#include "default_start_method.hpp"
#include "end_process.hpp"
#include "fork_server_protocol.hpp"
#include "forkserver_preload.hpp"
#include "process_child.hpp"
#include "process_starter.hpp"
#include "spawned_child.hpp"
#include "worker_process.hpp"

namespace tercet::multiprocessing {

namespace {

class fork_server_process final : public process_starter {
public:
    explicit fork_server_process(std::uint64_t token);
    [[noreturn]] void run();

private:
    started start_child(const server_request& request, unique_fd& socket) override;
    void collect_children() override;
    usage own_usage() const override;
    [[noreturn]] void become(const server_request& request, unique_fd socket);

    pid_t program_group_ = 0;  // processes belong to it, for the signals of a terminal
};

fork_server_process::fork_server_process(std::uint64_t token)
    : process_starter(token, unique_fd(inherited_control_fd), unique_fd(inherited_parent_fd)) {
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
        if (::fcntl(fd, F_GETFD) < 0) ::open("/dev/null", fd == STDIN_FILENO ? O_RDONLY : O_WRONLY);
    for (const int fd : {inherited_control_fd, inherited_parent_fd}) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
    for (const int each : {SIGINT, SIGTTIN, SIGTTOU}) std::signal(each, SIG_IGN);
    std::signal(SIGCHLD, SIG_DFL);
    sigset_t mask;
    ::sigemptyset(&mask);
    ::sigaddset(&mask, SIGCHLD);
    ::sigprocmask(SIG_SETMASK, &mask, nullptr);
    ends_ = unique_fd(::signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!ends_) end_process(1);
    ::prctl(PR_SET_NAME, "tercet-server");
    run_forkserver_preload(control_.get(), parent_.get());
    // What static objects and that call have printed must not be printed again by each worker.
    std::cout.flush();
    std::fflush(nullptr);
}

void fork_server_process::run() {
    try {
        serve();
    } catch (...) {  // NOLINT(bugprone-empty-catch): no memory; the pools find out by their sockets
    }
    kill_children();
    for (const auto& [pid, each] : children_)  // and for no others, which a static object may have started
        while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
        }
    end_process(0);
}

process_starter::started fork_server_process::start_child(const server_request& request, unique_fd& socket) {
    pid_t pid = 0;
    program_group_ = ::getpgid(::getppid());
    if (request.kind == server_request_kind::spawn_worker || request.kind == server_request_kind::spawn_process) {
        const auto role = request.kind == server_request_kind::spawn_worker ? start_role::worker : start_role::process;
        pid = start_spawned_child(role, request.start_method, socket.get(), parent_.get(), program_group_);
    } else {
        pid = ::fork();
        if (pid == 0) become(request, std::move(socket));
        if (pid < 0) pid = -errno;
    }
    if (pid < 0) return {.error = -pid};
    return {.pid = pid};
}

void fork_server_process::become(const server_request& request, unique_fd socket) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != pid_) end_process(1);
    close_lines();
    inherit_default_start_method(request.start_method);
    if (request.kind == server_request_kind::start_process) {
        parent_.reset();
        ::setpgid(0, program_group_);
        run_process(std::move(socket));
    }
    ::prctl(PR_SET_NAME, "tercet-worker");
    run_worker(std::move(socket), std::move(parent_));
}

void fork_server_process::collect_children() {
    signalfd_siginfo info{};
    while (::read(ends_.get(), &info, sizeof info) > 0) {
    }
    for (;;) {
        siginfo_t ended{};
        if (::waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) != 0 || ended.si_pid == 0) return;
        kill_what_is_left(ended.si_pid, ended);
        int status = 0;
        rusage used{};
        const pid_t pid = ::wait4(ended.si_pid, &status, WNOHANG, &used);
        if (pid <= 0) return;
        const auto found = children_.find(pid);
        if (found != children_.end()) report_end(found, status, used);  // else a static object has started it
    }
}

process_starter::usage fork_server_process::own_usage() const {
    rusage used{};
    ::getrusage(RUSAGE_SELF, &used);
    return usage_of(used);
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
