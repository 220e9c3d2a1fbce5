#pragma once

#include <sys/types.h>

#include <cstdint>

#include "bootstrap.hpp"

namespace tercet::multiprocessing {

/// In a fork server: starts the program afresh in that role, with `socket` and the pidfd `parent` in their places, to
/// die with this process; as a process in the group `program_group`. Returns its pid, or an errno as a negative number.
pid_t start_spawned_child(start_role role, std::uint32_t default_method, int socket, int parent, pid_t program_group);

/// The life of a process that was started so.
[[noreturn]] void run_spawned_child(start_role role);

}  // namespace tercet::multiprocessing
