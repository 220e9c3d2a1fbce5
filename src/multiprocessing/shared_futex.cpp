#include "shared_futex.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <ctime>

namespace tercet::multiprocessing {

// steady_clock is CLOCK_MONOTONIC, the clock of FUTEX_WAIT_BITSET, and the same in all processes.
bool shared_futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected,
                       std::chrono::steady_clock::time_point deadline) noexcept {
    timespec until{};
    timespec* limit = nullptr;
    if (deadline != std::chrono::steady_clock::time_point::max()) {
        const auto since_epoch =
            std::chrono::duration_cast<std::chrono::nanoseconds>(deadline.time_since_epoch()).count();
        until.tv_sec = static_cast<time_t>(since_epoch / 1'000'000'000);
        until.tv_nsec = static_cast<long>(since_epoch % 1'000'000'000);
        limit = &until;
    }
    const long result = ::syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), FUTEX_WAIT_BITSET, expected,
                                  limit, nullptr, FUTEX_BITSET_MATCH_ANY);
    return result == 0 || errno != ETIMEDOUT;
}

void shared_futex_wake_all(std::atomic<std::uint32_t>& word) noexcept {
    ::syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace tercet::multiprocessing
