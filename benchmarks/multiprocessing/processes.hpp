#pragma once

#include <sys/types.h>

#include <vector>

namespace tercet::benchmarks {

/// A process, its children, theirs, and so on, as they are now.
std::vector<pid_t> family_of(pid_t pid);

/// ms of CPU that these processes use together within 10 s, without the calling thread. Looks for a part of that time
/// only if told so, and multiplies.
double idle_cpu(const std::vector<pid_t>& pids, int divisor = 1);

/// KiB that nobody shares with a process, on average.
double private_memory(const std::vector<pid_t>& pids);

}  // namespace tercet::benchmarks
