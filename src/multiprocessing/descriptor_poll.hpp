#pragma once

#include <poll.h>

#include <chrono>
#include <cstddef>
#include <span>

namespace tercet::multiprocessing {

/// As poll(2), until `deadline` (`time_point::max()`: for ever), and whatever signals come. Returns how many are ready.
/// Throws `std::system_error`.
std::size_t poll_until(std::span<pollfd> waited, std::chrono::steady_clock::time_point deadline);

/// Whether `fd` is ready for `events` before `deadline`.
bool is_ready_by(int fd, short events, std::chrono::steady_clock::time_point deadline);

}  // namespace tercet::multiprocessing
