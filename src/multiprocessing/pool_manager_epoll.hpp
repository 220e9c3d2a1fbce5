#pragma once

#include <tercet/multiprocessing/unique_fd.hpp>

#include <sys/epoll.h>

#include <chrono>
#include <cstdint>
#include <span>

namespace tercet::multiprocessing {

// What an event of the pool's thread is about: one of these, or the number of a worker.
inline constexpr std::uint64_t queue_tag = 0;
inline constexpr std::uint64_t server_tag = 1;
inline constexpr std::uint64_t bell_tag = 2;
inline constexpr std::uint64_t loop_timer_tag = 3;
inline constexpr std::uint64_t first_worker_id = 4;

/// One that is not waited for. Throws `std::system_error`.
unique_fd make_eventfd();
unique_fd make_timerfd();

/// Throws `std::system_error`.
void watch_fd(int epoll, int operation, int fd, std::uint32_t events, std::uint64_t tag);

/// Waits for events at most `limit`; less than 0: for ever. Returns how many came.
int wait_for_fds(int epoll, std::span<epoll_event> events, std::chrono::nanoseconds limit) noexcept;

}  // namespace tercet::multiprocessing
