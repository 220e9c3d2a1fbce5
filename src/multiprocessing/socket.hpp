#pragma once

#include <tercet/multiprocessing/unique_fd.hpp>

#include <cstddef>
#include <utility>

namespace tercet::multiprocessing {

/// What one attempt to move bytes came to.
enum class io_status {
    done,     ///< all of it
    blocked,  ///< the socket cannot take or give more now
    closed,   ///< the other side is gone
};

/// A pair of connected stream sockets, closed on exec, none of them in the place of a standard stream.
/// Throws `std::system_error`.
std::pair<unique_fd, unique_fd> make_socket_pair();

/// Makes reads and writes of `fd` return instead of waiting.
void set_nonblocking(int fd);

/// Sends a small record as a whole, with `passed_fd` if that is not -1. A blocking socket waits.
io_status send_record(int socket, const void* record, std::size_t size, int passed_fd = -1);

/// Receives a record as a whole; a file descriptor that came with it goes to `passed_fd`. `blocked` only when nothing
/// of it has come.
io_status receive_record(int socket, void* record, std::size_t size, unique_fd* passed_fd = nullptr);

}  // namespace tercet::multiprocessing
