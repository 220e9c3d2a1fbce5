#pragma once

#include <chrono>

namespace tercet::asyncio {

/// The time of a loop. Timers and deadlines read no other clock, so that a loop can live in virtual time.
class loop_clock {
public:
    using time_point = std::chrono::steady_clock::time_point;

    virtual ~loop_clock() = default;
    virtual time_point now() noexcept { return std::chrono::steady_clock::now(); }
};

}  // namespace tercet::asyncio
