#pragma once

#include <tercet/futures/time_limit.hpp>

#include <string>

namespace tercet {

/// How a call is to be made.
///
///     pool.submit({.timeout = 2s, .retries = 3, .name = "rates"}, fetch, url);
struct submit_options {
    /// How long the call may run, all its attempts together. Then its future fails with `timeout_error` and its
    /// `std::stop_token`, if it takes one, is asked to stop. A thread cannot be taken away from a call that does not
    /// listen: it stays busy until the call returns, and what that gives is dropped.
    time_limit timeout = {};
    /// By when the call must be done, counted from `submit`; a call that has not begun by then does not begin.
    time_limit deadline = {};
    /// Calls of a higher priority go first; but each step of priority overtakes some 1,000 calls that came before,
    /// so nobody waits for ever.
    int priority = 0;
    /// How many more times the call is made when it throws. Its arguments are copied for that.
    unsigned retries = 0;
    /// For error texts.
    std::string name = {};
};

}  // namespace tercet
