#include <tercet/asyncio/event_loop.hpp>
#include <tercet/asyncio/open_connection.hpp>

#include <fmt/format.h>

#include <optional>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "asyncio/addresses_of.hpp"
#include "asyncio/connect_to.hpp"
#include "asyncio/happy_eyeballs.hpp"
#include "asyncio/stream_security.hpp"

namespace tercet::asyncio {

namespace {

/// What is copied of the options of a connection before it is awaited.
struct security {
    security(const connection_options& options, const std::string& host)
        : server_name(options.tls_server_name.empty() ? host : std::string(options.tls_server_name)) {
        if (options.tls) context = *options.tls;
    }
    /// Throws `std::invalid_argument` when the context is that of a server.
    void check() const {
        if (context && context->is_server())
            throw std::invalid_argument("open_connection: the TLS context is for servers");
    }
    std::optional<tls_context> context;
    std::string server_name;
};

coro<connection> connection_of(stream_pointer stream, connection_options options, security secured) {
    if (secured.context) {
        const security_options limits{options.tls_handshake_timeout, options.tls_shutdown_timeout};
        co_await secure_stream(stream, *secured.context, std::move(secured.server_name), limits);
    }
    stream_reader reader(stream);
    co_return connection{std::move(reader), stream_writer(std::move(stream))};
}

coro<connection> open_tcp(std::string host, std::uint16_t port, connection_options options, security secured) {
    secured.check();
    const std::chrono::nanoseconds delay = checked_delay(options.happy_eyeballs_delay);
    std::vector<socket_address> addresses = co_await addresses_of(host, port, false);
    std::string target = fmt::format("{}:{}", host, port);
    stream_pointer stream = co_await connect_to_first(std::move(addresses), delay, options.limit, std::move(target));
    co_return co_await connection_of(std::move(stream), options, std::move(secured));
}

coro<connection> open_unix(std::string path, connection_options options, security secured) {
    secured.check();
    const socket_address address = socket_address::from_path(path);
    connect_result result = co_await connect_to(address, options.limit);
    if (!result.stream) throw std::system_error(result.error, std::system_category(), "connect " + address.to_string());
    co_return co_await connection_of(std::move(result.stream), options, std::move(secured));
}

}  // namespace

coro<connection> open_connection(std::string host, std::uint16_t port, connection_options options) {
    security secured(options, host);
    return open_tcp(std::move(host), port, options, std::move(secured));
}

coro<connection> open_unix_connection(std::string path, connection_options options) {
    return open_unix(std::move(path), options, security(options, {}));
}

}  // namespace tercet::asyncio
