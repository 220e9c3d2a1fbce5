// The state is shared by the server, its acceptors and the tasks of its connections, so each may end first.
//
// Closing cancels the acceptors and closes their sockets in the same step. An acceptor that had a connection already
// when it was cancelled finds the server closed when it resumes, and drops the connection.

#include <tercet/asyncio/event_loop.hpp>
#include <tercet/asyncio/server.hpp>
#include <tercet/asyncio/sleep.hpp>
#include <tercet/futures/errors.hpp>

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <cerrno>
#include <chrono>
#include <exception>
#include <list>
#include <optional>
#include <stdexcept>
#include <system_error>

#include "asyncio/addresses_of.hpp"
#include "asyncio/listener.hpp"
#include "asyncio/stream_security.hpp"

namespace tercet::asyncio {

namespace {

constexpr std::chrono::milliseconds pause_without_resources{100};

}  // namespace

class server_state {
public:
    struct client {
        stream_pointer stream;
        bool is_ended_here = false;
    };

    server_state(connection_handler on_connection, const server_options& how)
        : handler(std::move(on_connection)), options(how) {
        if (options.tls) tls = *options.tls;
    }

    void close() noexcept {
        if (std::exchange(is_closed, true)) return;
        for (const task<>& each : acceptors) each.cancel();
        for (listener& each : listeners) each.close();
        closers.wake_all();
        if (clients.empty()) enders.wake_all();
    }

    connection_handler handler;
    server_options options;  // but its `tls` may be gone
    std::optional<tls_context> tls;
    std::list<listener> listeners;
    std::vector<task<>> acceptors;
    std::list<client> clients;
    wait_list closers;  // wait for close()
    wait_list enders;   // wait for the last client as well
    bool is_closed = false;
};

namespace {

/// A connection's place in the server's list, from its acceptance to the end of its handler.
class client_entry {
public:
    client_entry(std::shared_ptr<server_state> server, stream_pointer stream)
        : server_(std::move(server)), where_(server_->clients.insert(server_->clients.end(), {std::move(stream)})) {}
    client_entry(client_entry&&) noexcept = default;
    client_entry& operator=(client_entry&&) = delete;
    ~client_entry() {
        if (!server_) return;
        server_->clients.erase(where_);
        if (server_->is_closed && server_->clients.empty()) server_->enders.wake_all();
    }

    server_state::client& operator*() const noexcept { return *where_; }
    server_state::client* operator->() const noexcept { return &*where_; }
    const server_state& server() const noexcept { return *server_; }

private:
    std::shared_ptr<server_state> server_;
    std::list<server_state::client>::iterator where_;
};

coro<> serve_client(client_entry client) {
    try {
        const server_state& server = client.server();
        stream_writer writer(client->stream);
        if (server.tls) {
            const security_options limits{server.options.tls_handshake_timeout, server.options.tls_shutdown_timeout};
            co_await secure_stream(client->stream, *server.tls, std::string(), limits);
        }
        auto session = server.handler(stream_reader(client->stream), std::move(writer));
        co_await std::move(session);
    } catch (const cancelled_error&) {
        throw;
    } catch (...) {
        if (client->is_ended_here) co_return;
        get_running_loop().call_exception_handler(
            std::current_exception(),
            fmt::format("the handler of a connection from {}", client->stream->peer().to_string()));
    }
}

coro<> accept_clients(std::shared_ptr<server_state> server, listener& listening) {
    bool is_short_of_resources = false;
    for (;;) {
        accept_operation accepted(listening);
        const int error = co_await accepted;
        if (server->is_closed) co_return;
        if (error != 0) {
            // No descriptors, no memory: others will give some back. Anything else is reported likewise, once in a row.
            if (!std::exchange(is_short_of_resources, true))
                get_running_loop().call_exception_handler(
                    std::make_exception_ptr(std::system_error(error, std::system_category(), "accept")),
                    "a server, which goes on after a pause");
            co_await sleep(pause_without_resources);
            continue;
        }
        is_short_of_resources = false;
        socket_calls& sockets = get_running_loop().sockets();
        const int descriptor = accepted.take();
        if (!listening.address().is_unix()) sockets.set_option(descriptor, IPPROTO_TCP, TCP_NODELAY, 1);
        try {
            stream_socket* created = nullptr;
            try {
                created = new stream_socket(get_running_loop(), descriptor, accepted.peer(), server->options.limit);
            } catch (...) {
                sockets.close(descriptor);
                throw;
            }
            stream_pointer stream(created);
            stream->watch(trigger::on_demand);
            create_task(serve_client(client_entry(server, std::move(stream))), {.name = "connection"});
        } catch (...) {
            get_running_loop().call_exception_handler(std::current_exception(), "a server that accepted a connection");
        }
    }
}

coro<std::vector<socket_address>> address_of_path(std::string path) {
    co_return std::vector<socket_address>(1, socket_address::from_path(path));
}

coro<server> start(std::shared_ptr<server_state> state, coro<std::vector<socket_address>> where) {
    if (state->tls && !state->tls->is_server())
        throw std::invalid_argument("start_server: the TLS context is for clients");
    const std::vector<socket_address> addresses = co_await std::move(where);
    server started(state);
    state->listeners = listen_on_all(addresses, state->options);
    for (listener& each : state->listeners)
        state->acceptors.push_back(create_task(accept_clients(state, each), {.name = "acceptor"}));
    co_return started;
}

}  // namespace

coro<server> start_server_with(connection_handler handler, std::string host, std::uint16_t port,
                               server_options options) {
    auto state = std::make_shared<server_state>(std::move(handler), options);
    return start(std::move(state), addresses_of(std::move(host), port, true));
}

coro<server> start_unix_server_with(connection_handler handler, std::string path, server_options options) {
    auto state = std::make_shared<server_state>(std::move(handler), options);
    return start(std::move(state), address_of_path(std::move(path)));
}

server::server(std::shared_ptr<server_state> state) noexcept : state_(std::move(state)) {}

server& server::operator=(server&& other) noexcept {
    server old(std::move(*this));
    state_ = std::move(other.state_);
    return *this;
}

server::~server() { close(); }

std::uint16_t server::port() const { return state_->listeners.front().address().port(); }

std::vector<socket_address> server::addresses() const {
    std::vector<socket_address> all;
    for (const listener& each : state_->listeners) all.push_back(each.address());
    return all;
}

coro<> server::serve_forever(std::shared_ptr<server_state> state) {
    closed_awaiter closed(state, false);
    try {
        co_await closed;
    } catch (const cancelled_error&) {
        state->close();
        throw;
    }
}

void server::close() noexcept {
    if (state_) state_->close();
}

bool server::is_closed() const noexcept { return state_->is_closed; }

void server::close_clients() noexcept {
    for (server_state::client& each : state_->clients) {
        each.is_ended_here = true;
        each.stream->close();
    }
}

void server::abort_clients() noexcept {
    for (server_state::client& each : state_->clients) {
        each.is_ended_here = true;
        each.stream->abort();
    }
}

std::size_t server::client_count() const noexcept { return state_->clients.size(); }

server::closed_awaiter::closed_awaiter(std::shared_ptr<server_state> state, bool waits_for_clients) noexcept
    : state_(std::move(state)), waits_for_clients_(waits_for_clients) {}

bool server::closed_awaiter::begin() noexcept {
    if (state_->is_closed && (!waits_for_clients_ || state_->clients.empty())) return true;
    wait_in(waits_for_clients_ ? state_->enders : state_->closers);
    return false;
}

}  // namespace tercet::asyncio
