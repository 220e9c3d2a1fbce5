#pragma once

#include <tercet/asyncio/coro.hpp>
#include <tercet/asyncio/socket_address.hpp>
#include <tercet/asyncio/stream_socket.hpp>

#include <cstddef>

namespace tercet::asyncio {

struct connect_result {
    stream_pointer stream;
    int error = 0;  // why there is none
};

/// Connects to one address. While the queue of a Unix server is full it tries again and again. Throws
/// `cancelled_error`, and `std::bad_alloc`. Cancel safety: nothing stays open.
coro<connect_result> connect_to(socket_address peer, std::size_t limit);

}  // namespace tercet::asyncio
