#pragma once

#include <tercet/asyncio/coro.hpp>
#include <tercet/asyncio/socket_address.hpp>

#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <vector>

namespace tercet::asyncio {

/// The addresses of `host`, at least one, each with `port`, in the order in which the system would try them (RFC 6724).
/// `family`: AF_INET or AF_INET6 for those only, AF_UNSPEC for both. A numeric address is given back at once; names are
/// looked up by getaddrinfo on the loop's own threads (four at most), and by the network of a simulated loop in `sim`.
/// `open_connection` does that by itself.
///
/// Throws `std::system_error` of the category "resolver" ("resolve nosuch.invalid: Name or service not known"), and
/// `std::invalid_argument` for another family. Cancel safety: nothing is lost; a look-up under way ends by itself.
/// The loop's thread. Python's `loop.getaddrinfo`.
coro<std::vector<socket_address>> resolve(std::string host, std::uint16_t port = 0, int family = AF_UNSPEC);

}  // namespace tercet::asyncio
