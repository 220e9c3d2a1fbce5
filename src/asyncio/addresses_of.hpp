#pragma once

#include <tercet/asyncio/coro.hpp>
#include <tercet/asyncio/socket_address.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace tercet::asyncio {

/// The addresses of `host`, at least one: a numeric address at once, names by the loop's resolver.
coro<std::vector<socket_address>> addresses_of(std::string host, std::uint16_t port, bool is_passive);

}  // namespace tercet::asyncio
