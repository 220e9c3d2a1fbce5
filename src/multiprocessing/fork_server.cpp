// The server is a direct child, waited for by its pidfd alone, so that the program's own waiting for children and its
// SIGCHLD handler meet at most one stranger. Should the program reap it all the same, its exit status is unknown and
// nothing else is lost.
//
// It is started with posix_spawn, which does not copy this process and is safe beside other threads. It inherits two
// descriptors, in fixed places, and standard output and error; everything else is closed before its first instruction.
// It has a process group of its own: when that of the program is killed, somebody is left who ends the workers and what
// they have started. The terminal belongs to the program's group: its SIGINT, and the signals that would stop those who
// use it from another group, are blocked at the start and ignored as soon as it serves.
//
// After a fork of this process the copy must not talk to the server: the child's side of pthread_atfork puts a fresh
// object in place, and the old one, whose mutex may be held by a thread that the copy does not have, is left alone.

#include "fork_server.hpp"

#include <tercet/futures/errors.hpp>

#include <errno.h>  // program_invocation_name
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <stdexcept>
#include <system_error>
#include <utility>
#include <vector>

#include "bootstrap.hpp"
#include "fork_server_protocol.hpp"
#include "one_per_process.hpp"
#include "pidfd.hpp"
#include "socket.hpp"
#include "start_environment.hpp"

namespace tercet::multiprocessing {

namespace {

/// How long a server that was told to end may take before it is killed.
constexpr int patience_milliseconds = 1'000;

/// A copy of `fd` that no file action of a spawn is in the way of.
unique_fd move_out_of_the_way(const unique_fd& fd, const char* what) {
    const int moved = ::fcntl(fd.get(), F_DUPFD_CLOEXEC, 16);
    if (moved < 0) throw std::system_error(errno, std::system_category(), what);
    return unique_fd(moved);
}

class file_actions {
public:
    file_actions() { check(::posix_spawn_file_actions_init(&actions_)); }
    file_actions(const file_actions&) = delete;
    file_actions& operator=(const file_actions&) = delete;
    ~file_actions() { ::posix_spawn_file_actions_destroy(&actions_); }

    void inherit(int fd, int as) { check(::posix_spawn_file_actions_adddup2(&actions_, fd, as)); }
    void open_empty(int as) { check(::posix_spawn_file_actions_addopen(&actions_, as, "/dev/null", O_RDONLY, 0)); }
    void close_from(int first) { check(::posix_spawn_file_actions_addclosefrom_np(&actions_, first)); }
    const posix_spawn_file_actions_t* get() const noexcept { return &actions_; }

private:
    static void check(int error) {
        if (error != 0) throw std::system_error(error, std::system_category(), "posix_spawn_file_actions");
    }
    posix_spawn_file_actions_t actions_;
};

class spawn_attributes {
public:
    spawn_attributes() {
        if (const int error = ::posix_spawnattr_init(&attributes_))
            throw std::system_error(error, std::system_category(), "posix_spawnattr_init");
        sigset_t blocked;
        ::sigemptyset(&blocked);
        for (const int each : {SIGINT, SIGTTIN, SIGTTOU}) ::sigaddset(&blocked, each);
        ::posix_spawnattr_setsigmask(&attributes_, &blocked);
        sigset_t defaults;
        ::sigfillset(&defaults);
        ::posix_spawnattr_setsigdefault(&attributes_, &defaults);
        ::posix_spawnattr_setflags(&attributes_,
                                   POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    }
    spawn_attributes(const spawn_attributes&) = delete;
    spawn_attributes& operator=(const spawn_attributes&) = delete;
    ~spawn_attributes() { ::posix_spawnattr_destroy(&attributes_); }
    const posix_spawnattr_t* get() const noexcept { return &attributes_; }

private:
    posix_spawnattr_t attributes_;
};

}  // namespace

namespace {

[[gnu::constructor(101)]] void prepare_for_forks() { one_per_process<fork_server>::prepare_for_forks(); }

}  // namespace

fork_server& fork_server::instance() { return one_per_process<fork_server>::get(); }
fork_server* fork_server::instance_if_any() noexcept { return one_per_process<fork_server>::get_if_any(); }

void fork_server::set_preload(byte_buffer request) {
    if (request.size() > max_preload_bytes)
        throw std::length_error(fmt::format("set_forkserver_preload: arguments of {} bytes; there may be {}",
                                            request.size(), max_preload_bytes));
    const std::lock_guard lock(mutex_);
    if (pid_ != 0 && !ends_within(0))
        throw invalid_state_error(
            fmt::format("set_forkserver_preload: a fork server runs (pid {}): say it before the first pool or process, "
                        "or after terminate_all()",
                        pid_));
    preload_ = std::move(request);
}

start_service::connection fork_server::connect() {
    const std::lock_guard lock(mutex_);
    auto [ours, theirs] = make_socket_pair();
    set_nonblocking(ours.get());
    for (int attempt = 0; attempt < 2; ++attempt) {
        if (pid_ != 0 && ends_within(0)) reap();
        if (pid_ == 0) start();
        const char mark = 0;
        const auto status = send_record(control_.get(), &mark, sizeof mark, theirs.get());
        if (status == io_status::done) return {std::move(ours), token_, generation_};
        if (status == io_status::blocked)  // too many sockets are on their way at once
            throw std::system_error(EAGAIN, std::system_category(), "connect to the fork server");
        if (!ends_within(patience_milliseconds)) break;
        reap();
    }
    throw std::system_error(EPIPE, std::system_category(), "connect to the fork server");
}

void fork_server::start() {
    auto [ours, theirs] = make_socket_pair();
    const unique_fd self = open_pidfd(::getpid());
    if (!self) throw std::system_error(errno, std::system_category(), "pidfd_open");
    const unique_fd control = move_out_of_the_way(theirs, "fork server: control socket");
    const unique_fd parent = move_out_of_the_way(self, "fork server: pidfd");
    std::uint64_t token = 0;
    while (::getrandom(&token, sizeof token, 0) < 0 && errno == EINTR) {
    }

    file_actions actions;
    actions.inherit(control.get(), inherited_control_fd);
    actions.inherit(parent.get(), inherited_parent_fd);
    actions.open_empty(STDIN_FILENO);
    actions.close_from(inherited_parent_fd + 1);
    const spawn_attributes attributes;
    start_environment environment(start_value_of_server(token));
    std::string mark = "--tercet-fork-server";
    const std::array<char*, 3> arguments{program_invocation_name, mark.data(), nullptr};
    pid_t pid = 0;
    if (const int error =
            ::posix_spawn(&pid, "/proc/self/exe", actions.get(), attributes.get(), arguments.data(), environment.get()))
        throw std::system_error(error, std::system_category(), "posix_spawn /proc/self/exe");
    unique_fd pidfd = open_pidfd(pid);
    if (!pidfd && errno != ESRCH) {  // ESRCH: it has ended, and somebody else has reaped it
        const int error = errno;
        ::kill(pid, SIGKILL);
        while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
        }
        throw std::system_error(error, std::system_category(), "pidfd_open");
    }
    pid_ = pid;
    pidfd_ = std::move(pidfd);
    control_ = std::move(ours);
    const std::uint64_t preload_size = preload_.size();  // if the server is dying, that shows soon enough
    send_record(control_.get(), &preload_size, sizeof preload_size);
    send_record(control_.get(), preload_.data(), preload_.size());
    set_nonblocking(control_.get());  // a server that stands still must not keep the mutex
    token_ = token;
    ++generation_;
}

bool fork_server::ends_within(int milliseconds) noexcept {
    if (!pidfd_) return true;
    pollfd ended{pidfd_.get(), POLLIN, 0};
    int count = 0;
    while ((count = ::poll(&ended, 1, milliseconds)) < 0 && errno == EINTR) {
    }
    return count != 0;
}

void fork_server::reap() noexcept {
    siginfo_t end{};
    int result = -1;
    if (pidfd_) {
        while ((result = ::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &end, WEXITED)) < 0 && errno == EINTR) {
        }
    }
    try {
        const bool is_exit = end.si_code == CLD_EXITED;
        last_end_ = result == 0
                        ? describe_wait_status(W_EXITCODE(is_exit ? end.si_status : 0, is_exit ? 0 : end.si_status))
                        : "its exit status went elsewhere";
    } catch (...) {
        last_end_.clear();
    }
    pid_ = 0;
    pidfd_.reset();
    control_.reset();
}

start_service::ending fork_server::end_of(std::uint64_t generation) {
    const std::lock_guard lock(mutex_);
    if (generation <= terminated_generation_) return {"terminate_all() was called", true};
    if (generation != generation_) return {"it was replaced", false};
    if (pid_ != 0 && !ends_within(patience_milliseconds)) return {"it closed the connection", false};
    if (pid_ != 0) reap();
    return {last_end_, false};
}

void fork_server::note_answer(std::uint64_t generation) noexcept {
    const std::lock_guard lock(mutex_);
    answered_generation_ = std::max(answered_generation_, generation);
}

void fork_server::give_up(std::uint64_t generation) noexcept {
    const std::lock_guard lock(mutex_);
    if (pid_ == 0 || generation != generation_ || generation == answered_generation_) return;
    if (pidfd_) send_signal_to(pidfd_, SIGKILL);
    reap();
}

void fork_server::terminate() noexcept {
    const std::lock_guard lock(mutex_);
    terminated_generation_ = generation_;
    if (pid_ == 0) return;
    ::shutdown(control_.get(), SHUT_RDWR);  // it kills the workers, waits for them and ends
    if (!ends_within(patience_milliseconds)) send_signal_to(pidfd_, SIGKILL);
    reap();
}

std::string describe_wait_status(int status) {
    if (status == lost_wait_status)
        return "its exit status is not known, because the program itself has waited for all children";
    if (!WIFSIGNALED(status)) return fmt::format("exit code {}", WEXITSTATUS(status));
    const char* const name = ::sigabbrev_np(WTERMSIG(status));
    return name ? fmt::format("SIG{}", name) : fmt::format("signal {}", WTERMSIG(status));
}

}  // namespace tercet::multiprocessing
