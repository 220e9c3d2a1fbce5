#pragma once

#include <tercet/asyncio/coro.hpp>
#include <tercet/asyncio/loop_options.hpp>

#include <cstddef>
#include <functional>

namespace tercet::asyncio {

/// See `run_per_core`.
struct per_core_options {
    std::size_t cores = 0;  ///< how many loops; 0: one for each core that the process may use
    bool pin = false;       ///< each thread to a core of its own; fewer cores than loops: in turn
    /// SIGINT and SIGTERM end the loops, unless the program has a handler of its own for them. The second one ends the
    /// process.
    bool handle_signals = true;
    loop_options loop = {};
};

/// Runs `main(0)`, `main(1)`, ... each on an event loop and a thread of its own, and waits until all have ended. Loops
/// share nothing but what `main` refers to, and coroutines stay on their loop; a server on each, at one port with
/// `server_options::reuse_port`, has the kernel spread the connections over them:
///
///     run_per_core([](std::size_t) -> coro<> {
///         const auto listening = co_await start_server(&serve, "", 8080, {.reuse_port = true});
///         co_await listening.serve_forever();
///     });
///
/// The first `main` that throws cancels the others; its error is thrown when all have ended. Errors that follow are
/// reported as unread. Returns the signal that ended the loops, 0 when every `main` returned. Throws
/// `invalid_state_error` inside a running loop, `std::system_error` when a thread or a loop cannot be made.
int run_per_core(const std::function<coro<>(std::size_t core)>& main, const per_core_options& how = {});

}  // namespace tercet::asyncio
