#pragma once

#include <tercet/asyncio/coro.hpp>
#include <tercet/http/errors.hpp>
#include <tercet/http/request.hpp>
#include <tercet/http/response.hpp>
#include <tercet/http/session.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace tercet::http {

class transfer_group;

inline constexpr std::size_t unlimited = SIZE_MAX;

struct client_session_options {
    std::size_t limit = 100;                 ///< fetches under way at once; others wait, first come, first served
    std::size_t limit_per_host = unlimited;  ///< of them, to the same host and port
    std::vector<header> headers = {};        ///< sent with every request that has no field of the same name
    std::string user_agent = "tercet";
};

/// The awaiting client: as many fetches side by side as its limits allow, on one thread. Keeps its connections open
/// between requests to the same server. One loop at a time; it may be made before the loop runs and used on the next.
///
///     http::client_session session;
///     const http::response page = co_await session.get("https://example.com", {.timeout = 5s});
///
/// Destroyed while fetches are under way, it fails them with `http::error`; that must happen on their loop.
class client_session {
public:
    /// Throws `std::invalid_argument` for a header or a user agent that cannot be sent, or a limit of zero.
    explicit client_session(client_session_options options = {});
    ~client_session();
    client_session(client_session&&) noexcept;
    client_session& operator=(client_session&&) noexcept;

    /// Sends `wanted` and waits for the whole answer, whatever its status. Throws what `session::fetch` throws, and
    /// `cancelled_error`. Cancel safety: a cancelled fetch is taken off the wire at once; the server may have got it.
    asyncio::coro<response> fetch(request wanted);

    /// `fetch` with the method GET.
    asyncio::coro<response> get(std::string url, request_options options = {});
    /// `fetch` with the method POST. There is no `Content-Type` unless `options` has one.
    asyncio::coro<response> post(std::string url, std::string body, request_options options = {});

private:
    std::shared_ptr<transfer_group> group_;
};

}  // namespace tercet::http
