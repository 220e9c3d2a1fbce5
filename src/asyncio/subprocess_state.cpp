// A child is running, or has ended. It ends for us when its pidfd is readable: it is reaped at once, the pidfd leaves
// the loop and is closed, and all who wait go on. A dropped child that still runs holds its own state (self_) until
// then. If the loop ends first, a child that was killed is waited for: that takes no longer than the kernel needs.
//
// Signals go through the pidfd, or, to the group, while the child is not reaped: its number cannot be another's.

#include "asyncio/subprocess_state.hpp"

#include <tercet/asyncio/event_loop.hpp>

#include <fmt/format.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <system_error>
#include <utility>

namespace tercet::asyncio {

subprocess_state::~subprocess_state() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

std::string subprocess_state::name() const { return fmt::format("{} (pid {})", program_, pid_); }

void subprocess_state::adopt(pid_t pid) {
    pid_ = pid;
    descriptor_ = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));  // close-on-exec by itself
    const int error = errno;
    try {
        if (descriptor_ >= 0) {
            loop_->watch(*this, readiness::readable, trigger::level);
            is_watched_ = true;
        } else if (error == ESRCH) {  // SIGCHLD is ignored, so that it could end without a trace
            wait_error_ = ECHILD;
            has_ended_ = true;
        } else {
            throw std::system_error(error, std::system_category(), "run " + program_ + ": pidfd_open");
        }
    } catch (...) {
        ::kill(pid_, SIGKILL);
        while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
        }
        has_ended_ = true;
        throw;
    }
}

/// False: it still runs.
bool subprocess_state::reap(bool waits) noexcept {
    siginfo_t how{};
    int result;
    do {
        result = ::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(descriptor_), &how,
                          WEXITED | (waits ? 0 : WNOHANG));
    } while (result != 0 && errno == EINTR);
    if (result != 0)
        wait_error_ = errno;  // somebody else has reaped it
    else if (how.si_pid == 0)
        return false;
    else
        returncode_ = how.si_code == CLD_EXITED ? how.si_status : -how.si_status;
    return true;
}

void subprocess_state::end() noexcept {
    if (std::exchange(is_watched_, false)) loop_->forget(*this);
    ::close(std::exchange(descriptor_, -1));
    has_ended_ = true;
    waiters_.wake_all();
    self_.reset();  // may be the last thing that this does
}

void subprocess_state::on_ready(readiness) noexcept {
    if (reap(false)) end();
}

void subprocess_state::on_loop_end() noexcept {
    is_watched_ = false;
    if (at_end_ == when_dropped::kill) {
        kill();
        reap(true);
    } else {
        reap(false);
    }
    end();
}

void subprocess_state::kill() const noexcept {
    if (is_group_leader_) ::kill(-pid_, SIGKILL);
    ::syscall(SYS_pidfd_send_signal, descriptor_, SIGKILL, nullptr, 0);
}

void subprocess_state::drop(std::shared_ptr<subprocess_state> self) noexcept {
    if (has_ended_) return;
    self_ = std::move(self);
    if (at_end_ == when_dropped::kill) kill();
}

void subprocess_state::send_signal(int number) const {
    if (has_ended_ || ::syscall(SYS_pidfd_send_signal, descriptor_, number, nullptr, 0) == 0 || errno == ESRCH) return;
    throw std::system_error(errno, std::system_category(), fmt::format("signal {} to {}", number, name()));
}

}  // namespace tercet::asyncio
