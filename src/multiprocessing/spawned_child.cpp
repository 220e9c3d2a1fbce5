// The order to die with the fork server (PR_SET_PDEATHSIG) outlives exec, so static objects that never finish are no
// way to survive it. A program that cannot be started again ends with exit code 127, as in a shell.

#include "spawned_child.hpp"

#include <tercet/multiprocessing/unique_fd.hpp>

#include <errno.h>  // program_invocation_name
#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <string>

#include "end_process.hpp"
#include "fork_server_protocol.hpp"
#include "process_child.hpp"
#include "start_environment.hpp"
#include "worker_process.hpp"

namespace tercet::multiprocessing {

namespace {

constexpr int no_such_program = 127;

/// Puts `fd` there, to be inherited.
bool put(int fd, int place) { return fd == place ? ::fcntl(fd, F_SETFD, 0) == 0 : ::dup2(fd, place) == place; }

}  // namespace

pid_t start_spawned_child(start_role role, std::uint32_t default_method, int socket, int parent, pid_t program_group) {
    start_environment environment(start_value_of_child(role, default_method));
    std::string mark = role == start_role::worker ? "--tercet-worker" : "--tercet-process";
    const std::array<char*, 3> arguments{program_invocation_name, mark.data(), nullptr};
    const pid_t server = ::getpid();
    const pid_t pid = ::fork();
    if (pid != 0) return pid < 0 ? -errno : pid;

    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != server) end_process(1);
    if (role == start_role::process) ::setpgid(0, program_group);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    if (put(socket, inherited_control_fd) && put(parent, inherited_parent_fd) &&
        ::close_range(inherited_parent_fd + 1, ~0U, 0) == 0)
        ::execve("/proc/self/exe", arguments.data(), environment.get());
    end_process(no_such_program);
}

void run_spawned_child(start_role role) {
    unique_fd socket(inherited_control_fd);
    unique_fd parent(inherited_parent_fd);
    for (const auto* const each : {&socket, &parent}) ::fcntl(each->get(), F_SETFD, FD_CLOEXEC);
    if (role == start_role::process) {
        parent.reset();
        run_process(std::move(socket));
    }
    ::prctl(PR_SET_NAME, "tercet-worker");
    run_worker(std::move(socket), std::move(parent));
}

}  // namespace tercet::multiprocessing
