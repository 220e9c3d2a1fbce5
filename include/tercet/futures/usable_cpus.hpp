#pragma once

#include <cstddef>

namespace tercet {

/// How many CPUs the calling thread may run on: its affinity mask, which it has from the process unless it was pinned.
/// At least one.
std::size_t usable_cpus() noexcept;

}  // namespace tercet
