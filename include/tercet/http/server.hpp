#pragma once

#include <tercet/asyncio/coro.hpp>
#include <tercet/http/handler.hpp>
#include <tercet/http/request.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace tercet::http {

class server_state;

/// What a client may ask of a server. Every limit is on; whoever goes beyond gets the status and is cut off.
struct server_options {
    std::uint32_t max_header_bytes = 64U << 10U;  ///< of the request line and the headers: 431
    std::uint64_t max_body_bytes = 8U << 20U;     ///< 413
    std::size_t max_connections = 10'000;         ///< served at once: 503
    seconds header_timeout{10};                   ///< from the first byte of a head to its last: 408; also for the
                                                  ///< first byte of a connection: it is closed
    seconds body_timeout{60};                     ///< from the head to the end of the body: 408
    seconds keep_alive_timeout{75};               ///< from one request to the next: the connection is closed
    seconds write_timeout{60};                    ///< the client takes nothing: the connection is closed
};

/// An HTTP/1.1 server on the running loop. All its methods are for the thread of that loop.
///
///     asyncio::coro<http::server_response> hello(http::server_request request) {
///         co_return http::text_response("hello " + request.parameter_named("name"));
///     }
///     ...
///     http::server server;
///     server.route("GET", "/hello/{name}", hello);
///     co_await server.start("127.0.0.1", 8080);
///
/// A handler that throws is answered with 500, and its error is reported as an unread one.
class server {
public:
    /// Throws `std::invalid_argument` for a time that is negative or not a number.
    explicit server(server_options options = {});
    /// Closes without grace.
    ~server();
    server(server&&) noexcept = default;
    server& operator=(server&&) = delete;

    /// Lets `what` answer `method` on the paths of `pattern`, whose segments are words, `{name}` for any one segment,
    /// or at the end `{name...}` for all the rest. The most particular pattern wins. HEAD goes to the handler of GET.
    /// Throws `std::invalid_argument` for a malformed pattern, or one that takes the same paths as another.
    void route(std::string method, std::string_view pattern, handler what);

    /// Listens on `host` and `port`, 0 for any free one, and serves from then on. Throws `std::system_error`,
    /// `invalid_state_error` when it was started before, or is closed meanwhile.
    asyncio::coro<void> start(std::string host = "127.0.0.1", std::uint16_t port = 0);

    /// Where it listens. Throw `invalid_state_error` before `start`.
    std::uint16_t port() const;
    std::string url(std::string_view path = "/") const;

    /// Connections that are open now.
    std::size_t connection_count() const noexcept;

    /// Stops listening, closes the connections that wait for a request, lets the requests under way finish, and after
    /// `grace` cuts those that have not. Returns how many were cut; none is left then.
    /// Cancel safety: a cancelled close cuts at once what is left.
    asyncio::coro<std::size_t> close(seconds grace = seconds(10));

private:
    std::shared_ptr<server_state> state_;
};

}  // namespace tercet::http
