#include "asyncio/backends.hpp"

#include <fmt/format.h>

#include <array>
#include <cstdlib>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "asyncio/epoll_poller.hpp"
#include "asyncio/sim_poller.hpp"
#include "asyncio/uring_poller.hpp"

namespace tercet::asyncio {

namespace {

constexpr std::array available{loop_backend::epoll, loop_backend::io_uring, loop_backend::sim};

loop_backend backend_of_environment() {
    const char* const asked = std::getenv("TERCET_LOOP");
    if (!asked || *asked == '\0') return loop_backend::epoll;
    for (const loop_backend each : available)
        if (std::string_view(asked) == to_string(each)) return each;
    throw std::invalid_argument(
        fmt::format("the environment variable TERCET_LOOP is \"{}\", which is none of epoll, io_uring and sim", asked));
}

}  // namespace

const char* to_string(loop_backend backend) noexcept {
    switch (backend) {
        case loop_backend::automatic:
            return "automatic";
        case loop_backend::epoll:
            return "epoll";
        case loop_backend::io_uring:
            return "io_uring";
        case loop_backend::sim:
            return "sim";
    }
    return "unknown";
}

loop_parts make_loop_parts(const loop_options& options) {
    const bool is_left_open = options.backend == loop_backend::automatic;
    const loop_backend asked = is_left_open ? backend_of_environment() : options.backend;
    if (asked == loop_backend::sim) {
        auto clock = std::make_unique<sim_clock>();
        auto polled = std::make_unique<sim_poller>(*clock, options.seed);
        return {std::move(clock), std::move(polled)};
    }
    std::unique_ptr<poller> polled;
    if (asked == loop_backend::io_uring) polled = uring_poller::make_if_allowed();
    if (!polled) polled = std::make_unique<epoll_poller>();
    return {std::make_unique<loop_clock>(), std::move(polled)};
}

}  // namespace tercet::asyncio
