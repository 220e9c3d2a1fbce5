#include "asyncio/addresses_of.hpp"

#include <tercet/asyncio/event_loop.hpp>

#include "asyncio/resolver.hpp"

namespace tercet::asyncio {

coro<std::vector<socket_address>> addresses_of(std::string host, std::uint16_t port, bool is_passive) {
    if (const auto numeric = socket_address::from_numeric(host, port))
        co_return std::vector<socket_address>(1, *numeric);
    std::vector<socket_address> known = get_running_loop().sockets().look_up(host, port, is_passive);
    if (!known.empty()) co_return known;
    auto found = get_running_loop().resolver().resolve(std::move(host), port, is_passive);
    co_return co_await std::move(found);
}

}  // namespace tercet::asyncio
