#pragma once

#include <chrono>
#include <cstdint>

namespace tercet::asyncio {

/// How a loop learns what happened outside; docs/asyncio.md says when to choose which.
enum class loop_backend : std::uint8_t {
    automatic,  ///< what the environment variable `TERCET_LOOP` names, `epoll` unless it is set
    epoll,
    io_uring,  ///< `epoll` where the kernel refuses it: ask `event_loop::backend`
    sim,       ///< virtual time and a network in memory, for tests: see <tercet/asyncio/sim.hpp>
};

/// "epoll", "io_uring", "sim"
const char* to_string(loop_backend backend) noexcept;

/// How a loop is made. Trivially copyable, as every struct of options that stands in an awaited call must be.
struct loop_options {
    loop_backend backend = loop_backend::automatic;
    /// Of the order in which what is ready at the same time runs: each seed gives another, always the same. 0: first
    /// in, first out.
    std::uint64_t seed = 0;
    /// How long a loop that has nothing to do looks for work before it sleeps: an answer comes sooner by the time that
    /// waking takes, some microseconds, and a core is busy meanwhile. 0: it sleeps at once. Not on `sim`. A negative
    /// one is refused with `std::invalid_argument`.
    std::chrono::nanoseconds busy_poll{0};
    /// For `run` and `runner`: the first SIGINT cancels `main`, and `keyboard_interrupt` is thrown when it has ended,
    /// as `cancel_on_interrupt` has it. `run_per_core` has an option of its own.
    bool handle_interrupt = false;
};

}  // namespace tercet::asyncio
