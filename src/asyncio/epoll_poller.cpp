// What epoll_wait gives is reported a few sources at a time, and the coroutines that become ready run in between: what
// they received is in the cache still when they look at it. Events that wait for their turn are forgotten when their
// source leaves or is watched for something else; what is still true then is given again.

#include "asyncio/epoll_poller.hpp"

#include <fmt/format.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <ctime>
#include <system_error>

namespace tercet::asyncio {

namespace {

epoll_event event_of(io_source& source, readiness interest, trigger how) noexcept {
    std::uint32_t events = 0;
    if (includes(interest, readiness::readable)) events |= EPOLLIN | EPOLLRDHUP;
    if (includes(interest, readiness::writable)) events |= EPOLLOUT;
    if (how != trigger::level) events |= EPOLLET;
    epoll_event event{};
    event.events = events;
    event.data.ptr = &source;
    return event;
}

readiness readiness_of(std::uint32_t events) noexcept {
    readiness what = readiness::none;
    if (events & (EPOLLIN | EPOLLPRI)) what = what | readiness::readable;
    if (events & EPOLLOUT) what = what | readiness::writable;
    if (events & EPOLLRDHUP) what = what | readiness::readable | readiness::hangup;
    if (events & (EPOLLERR | EPOLLHUP)) what = what | readiness::both | readiness::hangup;
    return what;
}

}  // namespace

epoll_poller::epoll_poller() : descriptor_(::epoll_create1(EPOLL_CLOEXEC)), events_() {
    if (descriptor_ < 0) throw std::system_error(errno, std::system_category(), "event_loop: epoll_create1");
}

epoll_poller::~epoll_poller() { ::close(descriptor_); }

void epoll_poller::add(io_source& source, readiness interest, trigger how) {
    epoll_event event = event_of(source, interest, how);
    if (::epoll_ctl(descriptor_, EPOLL_CTL_ADD, source.descriptor(), &event) != 0)
        throw std::system_error(errno, std::system_category(), fmt::format("watch descriptor {}", source.descriptor()));
}

void epoll_poller::forget_events_of(const io_source& source) noexcept {
    for (int i = next_; i < count_; ++i) {
        epoll_event& event = events_[static_cast<std::size_t>(i)];
        if (event.data.ptr == &source) event.data.ptr = nullptr;
    }
}

void epoll_poller::modify(io_source& source, readiness interest, trigger how) {
    forget_events_of(source);
    epoll_event event = event_of(source, interest, how);
    if (::epoll_ctl(descriptor_, EPOLL_CTL_MOD, source.descriptor(), &event) == 0) return;
    // The descriptor was closed and its number given again: what was watched has left by itself.
    if (errno == ENOENT && ::epoll_ctl(descriptor_, EPOLL_CTL_ADD, source.descriptor(), &event) == 0) return;
    throw std::system_error(errno, std::system_category(), fmt::format("watch descriptor {}", source.descriptor()));
}

void epoll_poller::remove(io_source& source) noexcept {
    forget_events_of(source);
    epoll_event unused{};
    ::epoll_ctl(descriptor_, EPOLL_CTL_DEL, source.descriptor(), &unused);
}

int epoll_poller::wait_for(std::optional<std::chrono::nanoseconds> limit) noexcept {
    const int capacity = static_cast<int>(events_.size());
    if (limit && has_pwait2_ && limit->count() > 0) {
        timespec duration{};
        duration.tv_sec = static_cast<time_t>(limit->count() / 1'000'000'000);
        duration.tv_nsec = static_cast<long>(limit->count() % 1'000'000'000);
        const int count = ::epoll_pwait2(descriptor_, events_.data(), capacity, &duration, nullptr);
        if (count >= 0 || errno == EINTR) return count;
        has_pwait2_ = false;  // an old kernel, or a sandbox that does not know the call
    }
    int milliseconds = -1;
    if (limit) {
        const auto rounded_up = std::chrono::ceil<std::chrono::milliseconds>(*limit).count();
        milliseconds = static_cast<int>(rounded_up < INT_MAX ? rounded_up : INT_MAX);
    }
    return ::epoll_wait(descriptor_, events_.data(), capacity, milliseconds);
}

int epoll_poller::report(std::optional<std::chrono::nanoseconds> limit) noexcept {
    if (next_ == count_) {
        next_ = 0;
        count_ = 0;
        count_ = std::max(wait_for(limit), 0);
    }
    const int end = std::min(count_, next_ + reported_at_once);
    int reported = 0;
    while (next_ < end) {
        const epoll_event event = events_[static_cast<std::size_t>(next_++)];
        if (!event.data.ptr) continue;
        static_cast<io_source*>(event.data.ptr)->on_ready(readiness_of(event.events));
        ++reported;
    }
    return reported;
}

}  // namespace tercet::asyncio
