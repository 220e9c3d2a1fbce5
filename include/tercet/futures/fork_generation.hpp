#pragma once

#include <cstdint>

namespace tercet {

/// How many forks lie between the first process of this program and the calling one: a number that is another one in
/// the child of a fork. What was made in another process has threads that do not exist here. Any thread.
std::uint64_t fork_generation() noexcept;

}  // namespace tercet
