#pragma once

#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <utility>

#include "process_probe.hpp"

namespace tercet::multiprocessing {

/// A copy of the test's process that calls a function and exits with what that returns; 99 when it throws. Killed when
/// it goes.
class forked_child {
public:
    template <class Fn>
    explicit forked_child(Fn fn) : pid_(::fork()) {
        if (pid_ < 0) throw std::runtime_error("fork");
        if (pid_ != 0) return;
        int code = 99;
        try {
            code = fn();
        } catch (...) {  // NOLINT(bugprone-empty-catch): 99 says it
        }
        ::syscall(SYS_exit_group, code);
    }
    forked_child(forked_child&& other) noexcept : pid_(std::exchange(other.pid_, 0)) {}
    forked_child& operator=(forked_child&& other) noexcept {
        kill();
        pid_ = std::exchange(other.pid_, 0);
        return *this;
    }
    ~forked_child() { kill(); }

    pid_t pid() const { return pid_; }

    /// Its exit code, or the negative number of the signal that ended it.
    int wait() {
        int status = 0;
        const pid_t pid = std::exchange(pid_, 0);
        while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        }
        return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
    }
    void kill() {
        if (pid_ == 0) return;
        ::kill(pid_, SIGKILL);
        wait();
    }
    /// Returns when it sleeps in what it waits for.
    void until_asleep() const { wait_until_asleep(pid_); }

private:
    pid_t pid_;
};

/// What a child calls to be killed at this point.
[[noreturn]] inline void die() {
    for (;;) ::raise(SIGKILL);
}

}  // namespace tercet::multiprocessing
