#include "descriptor_poll.hpp"

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <system_error>

namespace tercet::multiprocessing {

using clock = std::chrono::steady_clock;

std::size_t poll_until(std::span<pollfd> waited, clock::time_point deadline) {
    for (;;) {
        timespec left{};
        const bool has_end = deadline != clock::time_point::max();
        if (has_end) {
            const auto nanoseconds = std::max<std::chrono::nanoseconds>(deadline - clock::now(), {}).count();
            left.tv_sec = static_cast<time_t>(nanoseconds / 1'000'000'000);
            left.tv_nsec = static_cast<long>(nanoseconds % 1'000'000'000);
        }
        const int count = ::ppoll(waited.data(), waited.size(), has_end ? &left : nullptr, nullptr);
        if (count >= 0) return static_cast<std::size_t>(count);
        if (errno != EINTR) throw std::system_error(errno, std::system_category(), "poll");
    }
}

bool is_ready_by(int fd, short events, clock::time_point deadline) {
    pollfd waited{fd, events, 0};
    return poll_until({&waited, 1}, deadline) != 0;
}

}  // namespace tercet::multiprocessing
