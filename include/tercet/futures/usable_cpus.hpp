#pragma once

#include <cstddef>

namespace tercet {

/// How many CPUs the calling thread may run on: its affinity mask, which it has from the process unless it was pinned.
/// At least one.
std::size_t usable_cpus() noexcept;

/// Whether there was only one of them when this process asked first. Any thread; no lock, so the child of a fork can
/// ask whatever the other threads of its parent were doing.
bool has_one_cpu() noexcept;

}  // namespace tercet
