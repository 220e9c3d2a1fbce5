#include "pool_manager_epoll.hpp"

#include <sys/eventfd.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstdint>
#include <ctime>
#include <system_error>

namespace tercet::multiprocessing {

unique_fd make_eventfd() {
    unique_fd made(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!made) throw std::system_error(errno, std::system_category(), "process_pool_executor: eventfd");
    return made;
}

unique_fd make_timerfd() {
    unique_fd made(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    if (!made) throw std::system_error(errno, std::system_category(), "process_pool_executor: timerfd_create");
    return made;
}

void watch_fd(int epoll, int operation, int fd, std::uint32_t events, std::uint64_t tag) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = tag;
    if (::epoll_ctl(epoll, operation, fd, &event) != 0)
        throw std::system_error(errno, std::system_category(), "process_pool_executor: epoll_ctl");
}

int wait_for_fds(int epoll, std::span<epoll_event> events, std::chrono::nanoseconds limit) noexcept {
    timespec left{};
    left.tv_sec = static_cast<time_t>(limit.count() / 1'000'000'000);
    left.tv_nsec = static_cast<long>(limit.count() % 1'000'000'000);
    const int capacity = static_cast<int>(events.size());
    const int count = ::epoll_pwait2(epoll, events.data(), capacity, limit.count() < 0 ? nullptr : &left, nullptr);
    if (count >= 0 || errno != ENOSYS) return count;
    const auto rounded_up = std::chrono::ceil<std::chrono::milliseconds>(limit).count();  // before Linux 5.11
    return ::epoll_wait(epoll, events.data(), capacity,
                        limit.count() < 0 ? -1 : static_cast<int>(std::min<std::int64_t>(rounded_up, INT_MAX)));
}

}  // namespace tercet::multiprocessing
