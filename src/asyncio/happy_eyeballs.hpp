#pragma once

#include <tercet/asyncio/coro.hpp>
#include <tercet/asyncio/socket_address.hpp>
#include <tercet/asyncio/stream_socket.hpp>

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

namespace tercet::asyncio {

/// The addresses in the order in which they are tried: that of each family is kept, and the families take turns,
/// beginning with that of the first.
std::vector<socket_address> interleave_families(const std::vector<socket_address>& addresses);

/// Connects to the first of `addresses`, at least one, that answers. The next is tried when one has failed, or has not
/// answered within `delay` (RFC 8305). Throws `std::system_error` with the first error, which names all of them, and
/// `cancelled_error`. Cancel safety: nothing stays open.
coro<stream_pointer> connect_to_first(std::vector<socket_address> addresses, std::chrono::nanoseconds delay,
                                      std::size_t limit, std::string target);

}  // namespace tercet::asyncio
