#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace tercet::multiprocessing {

/// As `tercet::futex_wait`, on a word in memory that several processes share.
bool shared_futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected,
                       std::chrono::steady_clock::time_point deadline) noexcept;

/// Wakes all that sleep on `word`, in every process.
void shared_futex_wake_all(std::atomic<std::uint32_t>& word) noexcept;

}  // namespace tercet::multiprocessing
