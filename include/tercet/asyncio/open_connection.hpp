#pragma once

#include <tercet/asyncio/coro.hpp>
#include <tercet/asyncio/stream_reader.hpp>
#include <tercet/asyncio/stream_writer.hpp>
#include <tercet/asyncio/tls_context.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace tercet::asyncio {

/// Both sides of a connection.
struct connection {
    stream_reader reader;
    stream_writer writer;
};

/// How to connect.
struct connection_options {
    std::size_t limit = stream_socket::default_limit;  ///< bytes, for `read_until` and `read_line`
    /// How long one address of a name may keep silent before the next is tried beside it (RFC 8305);
    /// `nanoseconds::max()`: one after the other.
    std::chrono::nanoseconds happy_eyeballs_delay = std::chrono::milliseconds(250);
    /// With TLS; of a client. Copied.
    const tls_context* tls = nullptr;
    /// Whose certificate is expected; empty means the host. Copied.
    std::string_view tls_server_name = {};
    std::chrono::nanoseconds tls_handshake_timeout = std::chrono::seconds(60);
    std::chrono::nanoseconds tls_shutdown_timeout = std::chrono::seconds(30);  ///< see `start_tls_options`
};

/// Connects by TCP to `host`, a name or a numeric address. Of the addresses that a name has the first that answers is
/// taken; IPv6 and IPv4 take turns. Combine it with `timeout` to bound the time. Nagle's algorithm is off. Throws
/// `std::system_error`: "connect 127.0.0.1:81: Connection refused", with what became of each when there were several;
/// "resolve nosuch.invalid: Name or service not known"; with TLS as `stream_writer::start_tls`; and `cancelled_error`.
/// Cancel safety: nothing stays open.
coro<connection> open_connection(std::string host, std::uint16_t port, connection_options options = {});

/// Connects to a Unix socket at `path`; behind a null character, an abstract one. While the server's queue is full it
/// waits. TLS needs `tls_server_name`. Throws `std::system_error`: "connect /run/echo.socket: No such file or
/// directory"; `std::invalid_argument` as `socket_address::from_path`; `cancelled_error`. Cancel safety: nothing stays
/// open.
coro<connection> open_unix_connection(std::string path, connection_options options = {});

}  // namespace tercet::asyncio
