#include <tercet/asyncio/resolve.hpp>

#include <fmt/format.h>
#include <netdb.h>

#include <stdexcept>
#include <system_error>
#include <utility>

#include "asyncio/addresses_of.hpp"
#include "asyncio/resolver.hpp"

namespace tercet::asyncio {

coro<std::vector<socket_address>> resolve(std::string host, std::uint16_t port, int family) {
    if (family != AF_UNSPEC && family != AF_INET && family != AF_INET6)
        throw std::invalid_argument(
            fmt::format("resolve {}: the family {} is none of AF_INET, AF_INET6 and AF_UNSPEC", host, family));
    std::vector<socket_address> found = co_await addresses_of(host, port, false);
    if (family == AF_UNSPEC) co_return found;
    std::erase_if(found, [family](const socket_address& each) { return each.family() != family; });
    if (found.empty()) throw std::system_error(EAI_NODATA, resolver_category(), "resolve " + host);
    co_return found;
}

}  // namespace tercet::asyncio
