#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace tercet {

/// Who sleeps on a word and wakes others there.
enum class futex_scope {
    process,  ///< threads of this process only, which is cheaper
    shared,   ///< also other processes that have the word's memory mapped
};

/// Sleeps while `word` is `expected`, until `deadline` (`time_point::max()`: for ever) or a wake-up. False when the
/// deadline has passed. May return early for no reason, as futexes do: look at the word again.
bool futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected,
                std::chrono::steady_clock::time_point deadline = std::chrono::steady_clock::time_point::max(),
                futex_scope scope = futex_scope::process) noexcept;

/// Wakes up to `count` threads that sleep on `word`. The address is only a name: the word may be gone, and then a
/// stranger at worst wakes for nothing.
void futex_wake(std::atomic<std::uint32_t>& word, int count, futex_scope scope = futex_scope::process) noexcept;

}  // namespace tercet
