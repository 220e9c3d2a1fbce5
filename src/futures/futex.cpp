#include <tercet/futures/futex.hpp>

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

namespace tercet {

namespace {

int flag_of(futex_scope scope) noexcept { return scope == futex_scope::process ? FUTEX_PRIVATE_FLAG : 0; }

}  // namespace

// steady_clock is CLOCK_MONOTONIC, the clock of FUTEX_WAIT_BITSET.
bool futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected,
                std::chrono::steady_clock::time_point deadline, futex_scope scope) noexcept {
    timespec until{};
    timespec* limit = nullptr;
    if (deadline != std::chrono::steady_clock::time_point::max()) {
        const auto since_epoch =
            std::chrono::duration_cast<std::chrono::nanoseconds>(deadline.time_since_epoch()).count();
        if (since_epoch < 0) return false;
        until.tv_sec = static_cast<time_t>(since_epoch / 1'000'000'000);
        until.tv_nsec = static_cast<long>(since_epoch % 1'000'000'000);
        limit = &until;
    }
    const long result = ::syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word),
                                  FUTEX_WAIT_BITSET | flag_of(scope), expected, limit, nullptr, FUTEX_BITSET_MATCH_ANY);
    return result == 0 || errno != ETIMEDOUT;
}

void futex_wake(std::atomic<std::uint32_t>& word, int count, futex_scope scope) noexcept {
    ::syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), FUTEX_WAKE | flag_of(scope), count, nullptr, nullptr,
              0);
}

}  // namespace tercet
