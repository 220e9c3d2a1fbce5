#pragma once

#include <tercet/asyncio/loop_clock.hpp>
#include <tercet/asyncio/poller.hpp>

#include <cstdint>

#include "asyncio/epoll_poller.hpp"
#include "asyncio/sim_network.hpp"

namespace tercet::asyncio {

/// A clock that moves when it is told to, and when somebody does nothing but look at it.
class sim_clock final : public loop_clock {
public:
    time_point now() noexcept override {
        if (++looks_ > most_looks) move_to(now_ + std::chrono::milliseconds(1));
        return now_;
    }
    void move_to(time_point when) noexcept {
        now_ = when;
        looks_ = 0;
    }

private:
    static constexpr int most_looks = 100'000;

    int looks_ = 0;
    time_point now_{std::chrono::hours(1)};  // a fixed one, some way from the beginning of time
};

/// Virtual time and a network in memory; descriptors of the kernel by epoll.
class sim_poller final : public poller {
public:
    /// `clock` is the loop's. Throws `std::system_error`.
    sim_poller(sim_clock& clock, std::uint64_t seed) : clock_(clock), network_(clock, seed) {}

    void add(io_source& source, readiness interest, trigger how) override;
    void modify(io_source& source, readiness interest, trigger how) override;
    void remove(io_source& source) noexcept override;
    void wait(std::optional<std::chrono::nanoseconds> limit) noexcept override;
    loop_backend backend() const noexcept override { return loop_backend::sim; }

    int open(int family) noexcept override;
    int open_datagram(int family) noexcept override;
    int set_option(int descriptor, int level, int name, int value) noexcept override;
    int bind(int descriptor, const socket_address& address) noexcept override;
    int listen(int descriptor, int backlog) noexcept override;
    int connect(int descriptor, const socket_address& peer) noexcept override;
    int connect_error(io_source& source) noexcept override;
    int accept(io_source& listener, socket_address& peer) noexcept override;
    ssize_t receive(io_source& source, std::span<char> into) noexcept override;
    ssize_t send(io_source& source, std::string_view data) noexcept override;
    ssize_t send_file(io_source& source, int file, off_t& offset, std::size_t count) noexcept override;
    ssize_t receive_from(io_source& source, std::span<char> into, int flags, socket_address& from) noexcept override;
    ssize_t send_to(io_source& source, std::string_view data, const socket_address& to) noexcept override;
    void shut_down(io_source& source) noexcept override;
    void close(int descriptor) noexcept override;
    void reset(int descriptor) noexcept override;
    socket_address local_address(int descriptor) noexcept override;
    std::vector<socket_address> look_up(const std::string& host, std::uint16_t port, bool is_passive) override;

    sim_network& network() noexcept { return network_; }

private:
    void sleep_until(std::optional<loop_clock::time_point> next) noexcept;

    sim_clock& clock_;
    epoll_poller kernel_;
    sim_network network_;
    int busy_turns_ = 0;
};

}  // namespace tercet::asyncio
