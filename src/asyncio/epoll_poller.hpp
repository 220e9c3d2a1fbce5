#pragma once

#include <tercet/asyncio/poller.hpp>

#include <sys/epoll.h>

#include <array>

namespace tercet::asyncio {

/// Readiness by epoll. Streams are registered once, edge-triggered, for both directions.
class epoll_poller final : public poller {
public:
    /// Throws `std::system_error`.
    epoll_poller();
    epoll_poller(const epoll_poller&) = delete;
    epoll_poller& operator=(const epoll_poller&) = delete;
    ~epoll_poller() override;

    void add(io_source& source, readiness interest, trigger how) override;
    void modify(io_source& source, readiness interest, trigger how) override;
    void remove(io_source& source) noexcept override;
    void wait(std::optional<std::chrono::nanoseconds> limit) noexcept override { report(limit); }
    loop_backend backend() const noexcept override { return loop_backend::epoll; }

    /// `wait`; returns how many sources were ready.
    int report(std::optional<std::chrono::nanoseconds> limit) noexcept;

private:
    void forget_events_of(const io_source& source) noexcept;
    int wait_for(std::optional<std::chrono::nanoseconds> limit) noexcept;

    int descriptor_;
    bool has_pwait2_ = true;
    std::array<epoll_event, 256> events_;
    int next_ = 0;  // of those that are not reported yet
    int count_ = 0;
};

}  // namespace tercet::asyncio
