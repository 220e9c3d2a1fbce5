#pragma once

#include <cstdint>
#include <optional>

namespace tercet::multiprocessing {

/// How many processes of this process's control group (cgroups(7), version 1 or 2) the kernel has killed because there
/// was no memory left; nothing when it cannot be known.
std::optional<std::uint64_t> oom_kills() noexcept;

}  // namespace tercet::multiprocessing
