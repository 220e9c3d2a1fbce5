#pragma once

#include <tercet/multiprocessing/process_handle.hpp>
#include <tercet/multiprocessing/unique_fd.hpp>

#include <sys/types.h>

#include <optional>
#include <string>

namespace tercet::multiprocessing {

/// The first thing that a new process is told; its call follows.
struct child_order {
    std::string parent_name;
    pid_t parent_pid = 0;
    std::string name;
    bool is_daemon = false;
};

/// In a copy of the fork server: makes the call that comes over `socket`, and ends.
[[noreturn]] void run_process(unique_fd socket);

/// What this process was told, if it was started as a `process`.
const std::optional<child_order>& order_of_this_process() noexcept;

/// Waits for the processes that this one has started, and ends daemons: what the end of a program does.
void end_own_processes() noexcept;

}  // namespace tercet::multiprocessing
