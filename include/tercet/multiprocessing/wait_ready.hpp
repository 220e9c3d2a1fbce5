#pragma once

#include <tercet/futures/time_limit.hpp>
#include <tercet/multiprocessing/connection.hpp>
#include <tercet/multiprocessing/listener.hpp>
#include <tercet/multiprocessing/process_handle.hpp>

#include <cstddef>
#include <initializer_list>
#include <span>
#include <vector>

namespace tercet::multiprocessing {

/// What `wait_ready` can wait for: a connection (a message or its end), a listener (a client), a process (its end), or
/// any file descriptor that becomes readable.
class waitable {
public:
    waitable(const connection& line) : fd_(line.fileno()) {}          // NOLINT(google-explicit-constructor)
    waitable(const listener& server) : fd_(server.fileno()) {}        // NOLINT(google-explicit-constructor)
    waitable(const process_handle& child) : fd_(child.sentinel()) {}  // NOLINT(google-explicit-constructor)
    waitable(int fd) noexcept : fd_(fd) {}                            // NOLINT(google-explicit-constructor)

    int fileno() const noexcept { return fd_; }

private:
    int fd_;
};

/// Waits up to `limit` until one or more of `objects` are ready, and returns the places of all that are, in order;
/// none when the time has passed. Python's `multiprocessing.connection.wait`. Throws `std::invalid_argument` for a file
/// descriptor that is not open.
std::vector<std::size_t> wait_ready(std::span<const waitable> objects, time_limit limit = {});
std::vector<std::size_t> wait_ready(std::initializer_list<waitable> objects, time_limit limit = {});

}  // namespace tercet::multiprocessing
