#pragma once

#include <tercet/asyncio/socket_address.hpp>
#include <tercet/futures/future.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

namespace tercet::asyncio {

/// Errors of getaddrinfo.
const std::error_category& resolver_category() noexcept;

/// Turns names into addresses on threads of its own, which start when they are needed: getaddrinfo blocks, and must not
/// hold up the loop nor wait behind jobs of users.
class resolver {
public:
    resolver();
    resolver(const resolver&) = delete;
    resolver& operator=(const resolver&) = delete;
    /// Ends the threads. One that hangs in getaddrinfo is left to end by itself: nothing can interrupt it.
    ~resolver();

    /// The addresses of `host`, at least one. `is_passive`: to listen on; an empty host means every interface.
    /// The future fails with `std::system_error` ("resolve nosuch.invalid: Name or service not known").
    future<std::vector<socket_address>> resolve(std::string host, std::uint16_t port, bool is_passive);

private:
    struct shared;
    /// The mutex is held.
    void add_worker();

    std::shared_ptr<shared> shared_;
};

}  // namespace tercet::asyncio
