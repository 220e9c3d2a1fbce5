#pragma once

#include <tercet/asyncio/stream_reader.hpp>
#include <tercet/asyncio/stream_socket.hpp>
#include <tercet/asyncio/stream_writer.hpp>

#include <cstddef>

namespace tercet::asyncio {

/// How a pipe is read.
struct pipe_options {
    std::size_t limit = stream_socket::default_limit;  ///< bytes, for `read_until` and `read_line`
};

/// Reads from a pipe, a terminal, or another device as from a connection. Takes over `descriptor`, also when it throws,
/// and closes it with the reader. As long as it is open it does not block (`O_NONBLOCK`), nor do other processes'
/// descriptors for the same open file; at the end it is as it was. A file on a disk, which has no readiness, is read
/// as well, but holds up the loop: see `open_file`. The loop's thread. Throws `std::system_error`
/// ("connect_read_pipe 7: Bad file descriptor") and `invalid_state_error` outside a loop.
stream_reader connect_read_pipe(int descriptor, pipe_options options = {});

/// Writes to one, the same way. `write_eof` closes it. When nobody reads any more, `drain` and `wait_closed` say so
/// ("write pipe 7: Broken pipe"); there is no SIGPIPE. Throws the same.
stream_writer connect_write_pipe(int descriptor, pipe_options options = {});

/// Reads from the standard input, of which this makes a descriptor of its own. Throws as `connect_read_pipe`.
stream_reader open_standard_input(pipe_options options = {});

}  // namespace tercet::asyncio
