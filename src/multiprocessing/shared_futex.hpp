#pragma once

#include <tercet/futures/futex.hpp>

#include <atomic>
#include <cstdint>

namespace tercet::multiprocessing {

/// The most that `add_and_wake_all` can add at once.
inline constexpr std::uint32_t most_to_add = 2'047;

/// Adds to `word`, which processes share, and wakes all who sleep on it: both or neither, also when this process is
/// killed. What this thread has written is seen by whom it wakes.
void add_and_wake_all(std::atomic<std::uint32_t>& word, std::uint32_t amount) noexcept;

/// Stores `value`, up to 2047, in `word` and wakes all who sleep on it. As above.
void store_and_wake_all(std::atomic<std::uint32_t>& word, std::uint32_t value) noexcept;

}  // namespace tercet::multiprocessing
