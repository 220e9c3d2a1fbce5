#pragma once

#include <tercet/multiprocessing/unique_fd.hpp>

#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

namespace tercet::multiprocessing {

/// A descriptor of that process, closed on exec; none with errno.
inline unique_fd open_pidfd(pid_t pid) noexcept {
    return unique_fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
}

/// As kill(), for the process that `pidfd` stands for.
inline void send_signal_to(const unique_fd& pidfd, int signal) noexcept {
    ::syscall(SYS_pidfd_send_signal, pidfd.get(), signal, nullptr, 0);
}

}  // namespace tercet::multiprocessing
