#pragma once

#include <atomic>
#include <cstdint>

namespace tercet {

namespace detail {
extern std::atomic<std::uint64_t> forks_before;
}

/// How many forks lie between the first process of this program and the calling one: a number that is another one in
/// the child of a fork. What was made in another process has threads that do not exist here. Any thread.
inline std::uint64_t fork_generation() noexcept { return detail::forks_before.load(std::memory_order_relaxed); }

}  // namespace tercet
