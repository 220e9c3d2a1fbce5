#pragma once

#include <cstdint>

namespace tercet::multiprocessing {

/// The life of a fork server: starts workers for the pools of its parent, and ends with it.
[[noreturn]] void run_fork_server(std::uint64_t token);

}  // namespace tercet::multiprocessing
