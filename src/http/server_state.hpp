#pragma once

#include <tercet/asyncio/coro.hpp>
#include <tercet/asyncio/event_loop.hpp>
#include <tercet/asyncio/server.hpp>
#include <tercet/http/server.hpp>

#include <http/router.hpp>

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>

namespace tercet::http {

class server_connection;

/// What a server and its connections share. It lives as long as the last of them, all on one loop.
class server_state : public std::enable_shared_from_this<server_state> {
public:
    /// Throws `std::invalid_argument` for a time that is negative or not a number.
    explicit server_state(server_options wanted);
    server_state(const server_state&) = delete;
    server_state& operator=(const server_state&) = delete;

    const server_options options;
    router routes;

    /// See `server`. They hold the state while they run.
    static asyncio::coro<void> start(std::shared_ptr<server_state> self, std::string host, std::uint16_t port);
    static asyncio::coro<std::size_t> close(std::shared_ptr<server_state> self, seconds grace);

    /// The server is gone: stops listening and cuts every connection.
    void drop() noexcept;

    /// Throws `invalid_state_error` unless it listens.
    const asyncio::server& listener() const;

    /// A connection enters the list, or leaves it.
    void add(std::list<server_connection*>& node) noexcept;
    void remove(std::list<server_connection*>& node, std::list<server_connection*>::iterator place) noexcept;
    std::size_t connection_count() const noexcept { return connections_.size(); }

    /// Takes a place among the connections that are served, to be given back by `dismiss`. False: there is none.
    bool admit() noexcept {
        if (served_ >= options.max_connections) return false;
        ++served_;
        return true;
    }
    void dismiss() noexcept { --served_; }

    /// Whether no new requests are taken.
    bool is_closing() const noexcept { return is_closing_; }

private:
    /// Sends home the connections that wait for a request; the others end after the answer that they are at.
    void begin_closing() noexcept;
    /// Cancels every connection that is left; returns how many there were.
    std::size_t cut_all() noexcept;
    asyncio::coro<void> wait_until_empty(asyncio::event_loop::time_point deadline);

    // Refers to this state: reset when the server closes, or neither would ever go.
    std::optional<asyncio::server> listener_;
    std::list<server_connection*> connections_;
    std::size_t served_ = 0;  // of them; the others are told that there are too many
    bool is_started_ = false;
    bool is_closing_ = false;
};

}  // namespace tercet::http
