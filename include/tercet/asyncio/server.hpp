#pragma once

#include <tercet/asyncio/coro.hpp>
#include <tercet/asyncio/stream_reader.hpp>
#include <tercet/asyncio/stream_writer.hpp>
#include <tercet/asyncio/task.hpp>
#include <tercet/asyncio/tls_context.hpp>
#include <tercet/asyncio/wait_list.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace tercet::asyncio {

class server_state;

/// How a server listens.
struct server_options {
    int backlog = 1024;       ///< connections that wait to be accepted
    bool reuse_port = false;  ///< several loops or processes may listen on the port, the kernel spreads the connections
    std::size_t limit = stream_socket::default_limit;  ///< bytes, for `read_until` and `read_line` of each connection
    /// With TLS; of a server. Copied. The handler begins when hands are shaken; a failure to do so is reported as an
    /// error of a handler is.
    const tls_context* tls = nullptr;
    std::chrono::nanoseconds tls_handshake_timeout = std::chrono::seconds(60);
    std::chrono::nanoseconds tls_shutdown_timeout = std::chrono::seconds(30);  ///< see `start_tls_options`
};

/// Accepts connections and runs the handler for each, as a task of its own. Dropping it stops accepting; handlers that
/// run go on. The loop's thread.
class server {
public:
    class closed_awaiter final : public wait_list::waiter {
    public:
        closed_awaiter(std::shared_ptr<server_state> state, bool waits_for_clients) noexcept;
        void await_resume() const { throw_if_cancelled(); }

    private:
        bool begin() noexcept override;
        std::shared_ptr<server_state> state_;
        bool waits_for_clients_;
    };

    explicit server(std::shared_ptr<server_state> state) noexcept;
    server(server&&) noexcept = default;
    server& operator=(server&& other) noexcept;
    ~server();

    /// The port of the first address; useful when it was chosen by the system. 0 for a Unix socket.
    std::uint16_t port() const;
    /// The addresses it listens on.
    std::vector<socket_address> addresses() const;

    /// Waits until the server is closed. Throws `cancelled_error`. Cancel safety: a
    /// cancellation closes the server; connections that are open go on.
    [[nodiscard]] coro<> serve_forever() const { return serve_forever(state_); }
    /// Stops accepting, at once: the port is free when this returns, and the file of a Unix socket gone, unless another
    /// has taken its place. Connections go on.
    void close() noexcept;
    /// After `close`.
    bool is_closed() const noexcept;
    /// Waits until the server is closed and every handler has ended. Throws `cancelled_error`. Cancel safety: nothing
    /// to lose.
    [[nodiscard]] closed_awaiter wait_closed() noexcept { return {state_, true}; }

    /// Closes every connection once its output is written. Their handlers' reads end with `ECONNABORTED`; errors that
    /// follow from it are not reported.
    void close_clients() noexcept;
    /// Closes every connection now; what is queued is lost.
    void abort_clients() noexcept;
    /// How many handlers run.
    std::size_t client_count() const noexcept;

private:
    static coro<> serve_forever(std::shared_ptr<server_state> state);

    std::shared_ptr<server_state> state_;
};

/// A handler of connections, whatever its type.
using connection_handler = std::function<coro<>(stream_reader, stream_writer)>;

/// `start_server` for a handler without its type.
coro<server> start_server_with(connection_handler handler, std::string host, std::uint16_t port,
                               server_options options);

/// `start_unix_server` for a handler without its type.
coro<server> start_unix_server_with(connection_handler handler, std::string path, server_options options);

/// `handler` as a function that keeps itself alive while a connection uses it.
template <class Handler>
connection_handler make_connection_handler(Handler handler) {
    return [handler = std::move(handler)](stream_reader reader, stream_writer writer) -> coro<> {
        return keep_alive_and_call(handler, std::move(reader), std::move(writer));
    };
}

/// Listens by TCP on `host`, a name, a numeric address, or empty for every interface, and on `port`, 0 for one that is
/// free. Each connection runs `handler(reader, writer)` as a task, with a copy of `handler` that lives as long; an
/// error of it goes to the loop's exception handler. When the process has no descriptors left, accepting pauses and
/// recovers. Throws `std::system_error`: "listen 127.0.0.1:80: Permission denied", and `cancelled_error`. Cancel
/// safety: nothing stays open.
template <class Handler>
    requires std::same_as<std::invoke_result_t<Handler&, stream_reader, stream_writer>, coro<>> coro<server>
    start_server(Handler handler, std::string host, std::uint16_t port, server_options options = {}) {
        return start_server_with(make_connection_handler(std::move(handler)), std::move(host), port, options);
    }

/// The same on a Unix socket at `path`; behind a null character, an abstract one. A socket file there on which nobody
/// listens any more is replaced. Throws `std::system_error`: "listen /run/echo.socket: Address already in use", and
/// `std::invalid_argument` as `socket_address::from_path`. Cancel safety: the same.
template <class Handler>
    requires std::same_as<std::invoke_result_t<Handler&, stream_reader, stream_writer>, coro<>> coro<server>
    start_unix_server(Handler handler, std::string path, server_options options = {}) {
        return start_unix_server_with(make_connection_handler(std::move(handler)), std::move(path), options);
    }

}  // namespace tercet::asyncio
