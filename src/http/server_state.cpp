// The end of a server, in order: the port is free; connections that wait for a request end; requests that run go on
// until the grace is over; what is left is cancelled; and when the last handler has ended, so has the server. A
// connection that was accepted but has not had its first turn finds `is_closing` set, and ends at once.

#include <tercet/asyncio/timeout.hpp>
#include <tercet/futures/errors.hpp>

#include <http/server_connection.hpp>
#include <http/server_state.hpp>

#include <system_error>
#include <utility>

namespace tercet::http {

namespace {

/// A client that disappears in the middle, or takes nothing, needs no report: that is daily life for a server.
asyncio::coro<void> serve(std::shared_ptr<server_state> state, asyncio::stream_reader reader,
                          asyncio::stream_writer writer) {
    server_connection connection(std::move(state), reader, writer);
    try {
        co_await connection.run();
    } catch (const std::system_error&) {
        writer.abort();
    } catch (const timeout_error&) {
        writer.abort();
    }
}

}  // namespace

server_state::server_state(server_options wanted) : options(wanted) {
    for (const seconds time :
         {wanted.header_timeout, wanted.body_timeout, wanted.keep_alive_timeout, wanted.write_timeout})
        static_cast<void>(time_limit(time));
}

asyncio::coro<void> server_state::start(std::shared_ptr<server_state> self, std::string host, std::uint16_t port) {
    if (std::exchange(self->is_started_, true)) throw invalid_state_error("http::server::start: it was started before");
    auto serve_one = [self](asyncio::stream_reader reader, asyncio::stream_writer writer) {
        return serve(self, std::move(reader), std::move(writer));
    };
    auto starting = asyncio::start_server(std::move(serve_one), std::move(host), port);
    try {
        asyncio::server listener = co_await std::move(starting);
        if (self->is_closing_) throw invalid_state_error("http::server::start: closed meanwhile");
        self->listener_.emplace(std::move(listener));
    } catch (...) {
        self->is_started_ = false;
        throw;
    }
}

asyncio::coro<std::size_t> server_state::close(std::shared_ptr<server_state> self, seconds grace) {
    const auto deadline = time_limit(grace).deadline(asyncio::get_running_loop().time());
    if (self->listener_) self->listener_->close();
    self->begin_closing();
    try {
        co_await self->wait_until_empty(deadline);
        const std::size_t cut = self->cut_all();
        co_await self->wait_until_empty(asyncio::event_loop::time_point::max());
        self->listener_.reset();
        co_return cut;
    } catch (...) {
        self->drop();
        throw;
    }
}

asyncio::coro<void> server_state::wait_until_empty(asyncio::event_loop::time_point deadline) {
    if (!listener_) co_return;
    asyncio::deadline_scope limit(deadline);
    try {
        co_return co_await listener_->wait_closed();
    } catch (const cancelled_error&) {
        if (!limit.has_expired()) throw;
    }
}

void server_state::drop() noexcept {
    begin_closing();
    cut_all();
    listener_.reset();
}

const asyncio::server& server_state::listener() const {
    if (!listener_) throw invalid_state_error("http::server: it does not listen; call start first");
    return *listener_;
}

void server_state::add(std::list<server_connection*>& node) noexcept { connections_.splice(connections_.end(), node); }

void server_state::remove(std::list<server_connection*>& node, std::list<server_connection*>::iterator place) noexcept {
    node.splice(node.end(), connections_, place);
}

void server_state::begin_closing() noexcept {
    is_closing_ = true;
    for (server_connection* const connection : connections_) connection->send_home();
}

std::size_t server_state::cut_all() noexcept {
    for (server_connection* const connection : connections_) connection->cut();
    return connections_.size();
}

}  // namespace tercet::http
