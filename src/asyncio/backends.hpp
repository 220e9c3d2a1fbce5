#pragma once

#include <tercet/asyncio/loop_clock.hpp>
#include <tercet/asyncio/loop_options.hpp>
#include <tercet/asyncio/poller.hpp>

#include <memory>

namespace tercet::asyncio {

struct loop_parts {
    std::unique_ptr<loop_clock> clock;
    std::unique_ptr<poller> polled;
};

/// What a loop of that backend is made of. Throws `std::system_error`, and `std::invalid_argument` when `TERCET_LOOP`
/// names none.
loop_parts make_loop_parts(const loop_options& options);

}  // namespace tercet::asyncio
