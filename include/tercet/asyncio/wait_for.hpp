#pragma once

#include <tercet/asyncio/timeout.hpp>

#include <utility>

namespace tercet::asyncio {

/// `timeout` with the arguments in Python's order: awaits `awaited`, a coroutine, a task or a future (also a
/// shared one), for at most `limit`. Throws `timeout_error` when the work has ended by that; with a limit of zero a
/// coroutine does not begin, and what is done gives its result. Cancel safety: that of `awaited`; a cancellation is
/// passed on and waited out, a result in the same turn is delivered.
template <class Awaitable>
auto wait_for(Awaitable awaited, time_limit limit) {
    return timeout(limit, std::move(awaited));
}

}  // namespace tercet::asyncio
