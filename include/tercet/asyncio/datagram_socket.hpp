#pragma once

#include <tercet/asyncio/coro.hpp>
#include <tercet/asyncio/socket_address.hpp>
#include <tercet/asyncio/watched_socket.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace tercet::asyncio {

class datagram_state;

/// A message, and the address from which it came: empty for a Unix socket without a name.
struct datagram {
    std::string data;
    socket_address from;
};

/// What `receive_into` has put into the caller's memory.
struct received_datagram {
    std::size_t size = 0;       ///< of the whole message, in bytes
    bool is_truncated = false;  ///< it did not fit: the rest is lost
    socket_address from = {};
};

/// How a datagram socket is opened.
struct datagram_options {
    bool reuse_address = false;      ///< SO_REUSEADDR: another socket may have the address
    bool reuse_port = false;         ///< several sockets on one port, the kernel spreads the messages
    bool broadcast = false;          ///< sending to broadcast addresses is allowed
    std::size_t receive_buffer = 0;  ///< bytes, of the kernel's queue; 0: as the system has it
    std::size_t send_buffer = 0;     ///< the same for what is sent
};

/// Sends and receives messages, by UDP or between Unix sockets: each arrives whole, or not at all. The only queue is
/// the kernel's, which drops what does not fit. Dropping the socket closes it. The loop's thread.
///
/// One coroutine receives and one sends at a time: another throws `invalid_state_error`. All throw `std::system_error`
/// with the address ("send 10.0.0.1:9: Message too long"), also `ECONNABORTED` when it is closed meanwhile, and
/// `cancelled_error`. On a connected socket the next call after an ICMP error reports it ("receive 10.0.0.1:9:
/// Connection refused"), after which the socket goes on; without a peer the kernel keeps such errors to itself.
class datagram_socket {
public:
    /// Waits for a message whatever its size, up to `max_size` bytes: a larger one is dropped, and thrown as
    /// `EMSGSIZE`.
    class receive_awaiter final : public io_operation {
    public:
        receive_awaiter(std::shared_ptr<datagram_state> state, std::size_t max_size);
        datagram await_resume();

    private:
        bool attempt() noexcept override;
        std::shared_ptr<datagram_state> state_;
        std::size_t max_size_;
        datagram received_;
    };

    class receive_into_awaiter final : public io_operation {
    public:
        receive_into_awaiter(std::shared_ptr<datagram_state> state, std::span<char> into);
        received_datagram await_resume() const;

    private:
        bool attempt() noexcept override;
        std::shared_ptr<datagram_state> state_;
        std::span<char> into_;
        received_datagram received_;
    };

    class send_awaiter final : public io_operation {
    public:
        send_awaiter(std::shared_ptr<datagram_state> state, std::string_view data, const socket_address& to);
        void await_resume() const;

    private:
        bool attempt() noexcept override;
        std::shared_ptr<datagram_state> state_;
        std::string_view data_;
        socket_address to_;
    };

    explicit datagram_socket(std::shared_ptr<datagram_state> state) noexcept : state_(std::move(state)) {}
    datagram_socket(datagram_socket&&) noexcept = default;
    datagram_socket& operator=(datagram_socket&& other) noexcept;
    ~datagram_socket() { close(); }

    /// The next message; it may be empty. Cancel safety: a message that was not delivered stays for the next.
    [[nodiscard]] receive_awaiter receive_from(std::size_t max_size = std::size_t{1} << 20) const {
        return {state_, max_size};
    }
    /// The same without an allocation. `into` must stay. Cancel safety: the same.
    [[nodiscard]] receive_into_awaiter receive_into(std::span<char> into) const { return {state_, into}; }

    /// Sends one message, waiting while the kernel's queue is full. `data` must stay. That it was sent does not say
    /// that it arrives. A Unix socket that has no room, and is not the peer, is an error (`EAGAIN`): the kernel does
    /// not say when it has. Cancel safety: a cancelled send has sent nothing.
    [[nodiscard]] send_awaiter send_to(std::string_view data, const socket_address& to) const {
        return {state_, data, to};
    }
    /// The same to the peer of a connected socket.
    [[nodiscard]] send_awaiter send(std::string_view data) const { return {state_, data, {}}; }

    /// Where it receives; unknown, that is empty, once it is closed.
    socket_address local_address() const;
    /// Empty when the socket is not connected.
    socket_address peer_address() const;

    /// Closes at once; waits end with `ECONNABORTED`. The file of a Unix socket goes, unless another has its place.
    void close() noexcept;
    /// Not after `close`, nor after the end of the loop.
    bool is_open() const noexcept;

private:
    std::shared_ptr<datagram_state> state_;
};

/// A socket that receives at `local`, and talks to `peer` only; either may be empty, `socket_address()`. Throws
/// `std::system_error` ("bind 127.0.0.1:53: Permission denied") and `std::invalid_argument` when both are empty.
datagram_socket open_datagram(const socket_address& local, const socket_address& peer, datagram_options options = {});

/// UDP at `host`, a name, a numeric address, or empty for every interface, and `port`, 0 for one that is free. Throws
/// as above, "resolve nosuch.invalid: Name or service not known", and `cancelled_error`. Cancel safety: nothing stays
/// open.
coro<datagram_socket> bind_datagram(std::string host, std::uint16_t port, datagram_options options = {});

/// UDP to `host` and `port` and back. Throws the same. Cancel safety: the same.
coro<datagram_socket> connect_datagram(std::string host, std::uint16_t port, datagram_options options = {});

}  // namespace tercet::asyncio
