#pragma once

#include <tercet/asyncio/coro.hpp>
#include <tercet/asyncio/socket_address.hpp>
#include <tercet/asyncio/stream_socket.hpp>
#include <tercet/asyncio/tls_context.hpp>
#include <tercet/asyncio/wait_list.hpp>

#include <chrono>
#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

namespace tercet::asyncio {

/// See `stream_writer::start_tls`.
struct start_tls_options {
    /// What the server is called, for its certificate and for its choice of one; a client needs it unless it does not
    /// verify. Copied.
    std::string_view server_name = {};
    /// How long the handshake may take.
    std::chrono::nanoseconds handshake_timeout = std::chrono::seconds(60);
    /// How long closing may last; it waits until the peer has ended as well.
    std::chrono::nanoseconds shutdown_timeout = std::chrono::seconds(30);
};

/// The sending side of a connection. Dropping it closes the connection, after what was written has gone out. The loop's
/// thread.
class stream_writer {
public:
    class drain_awaiter final : public wait_list::waiter {
    public:
        explicit drain_awaiter(stream_pointer stream) noexcept : stream_(std::move(stream)) {}
        void await_resume() const;

    private:
        bool begin() noexcept override;
        stream_pointer stream_;
    };

    class closed_awaiter final : public wait_list::waiter {
    public:
        explicit closed_awaiter(stream_pointer stream) noexcept : stream_(std::move(stream)) {}
        void await_resume() const;

    private:
        bool begin() noexcept override;
        stream_pointer stream_;
    };

    explicit stream_writer(stream_pointer stream) noexcept : stream_(std::move(stream)) {}
    stream_writer(stream_writer&&) noexcept = default;
    stream_writer& operator=(stream_writer&& other) noexcept {
        stream_writer old(std::move(*this));
        stream_ = std::move(other.stream_);
        return *this;
    }
    ~stream_writer() {
        if (stream_) stream_->close();
    }

    /// Sends `data`, or queues what the socket does not take at once: follow it by `drain`. Never waits. When the
    /// connection is lost the data goes nowhere, and `drain` says why. Throws `invalid_state_error` after `close` or
    /// `write_eof`, and during `sendfile`.
    void write(std::string_view data) { stream_->write(data); }

    /// The same for several, one behind the other, in one system call.
    void writelines(std::span<const std::string_view> parts) { stream_->writelines(parts); }

    /// Waits while more is queued than the high-water mark, until it is less than the low one. Throws
    /// `std::system_error` when the connection is lost ("write 127.0.0.1:80: Broken pipe"), and `cancelled_error`. Any
    /// number of coroutines may wait. Cancel safety: what was written stays written or queued.
    [[nodiscard]] drain_awaiter drain() { return drain_awaiter(stream_); }

    /// Ends the outgoing direction once everything is written; reading goes on. With TLS that is told to the peer, and
    /// the socket stays as it is. Never waits; again it does nothing. Throws `invalid_state_error` after `close`, and
    /// during `start_tls` and `sendfile`.
    void write_eof() { stream_->write_eof(); }

    /// Closes the connection once everything is written. Reads end with `ECONNABORTED` from now on. A peer that takes
    /// nothing would hold the connection for ever: give `wait_closed` a time limit, then `abort`. With TLS it closes
    /// when the peer has ended as well, or after the `shutdown_timeout`.
    void close() { stream_->close(); }
    /// Closes the connection now; what is queued is lost, and the peer sees a reset.
    void abort() { stream_->abort(); }
    /// After `close` or `abort`.
    bool is_closing() const { return stream_->is_closing(); }
    /// Waits until the connection is closed. Throws why it was lost before everything was written, and
    /// `cancelled_error`. Cancel safety: the connection goes on closing.
    [[nodiscard]] closed_awaiter wait_closed() { return closed_awaiter(stream_); }

    /// Marks for `drain`, in bytes; 64 KiB and 16 KiB at first. A `low` above `high` counts as `high`.
    void set_write_buffer_limits(std::size_t high, std::size_t low) { stream_->set_write_buffer_limits(high, low); }
    /// How many bytes are queued.
    std::size_t write_buffer_size() const { return stream_->unsent(); }

    /// Goes over to TLS, for this writer and its reader: as the client or the server, as `context` is for. What was
    /// received and not read is taken for the beginning of the peer's handshake. Meanwhile nobody may read or write.
    /// Throws `certificate_error` ("TLS with example.org (192.0.2.1:443): the certificate is refused: certificate has
    /// expired"), `tls_error`, `timeout_error` when the handshake takes too long, `std::system_error`,
    /// `invalid_state_error`, `std::invalid_argument` and `cancelled_error`. Cancel safety: after an error or a
    /// cancellation the connection is closed.
    [[nodiscard]] coro<> start_tls(const tls_context& context, start_tls_options options = {});
    /// What was agreed upon; none without TLS.
    std::optional<tls_info> tls() const;

    /// Who is at the other end.
    socket_address peer_address() const { return stream_->peer(); }
    /// Unknown once the connection is closed.
    socket_address local_address() const { return stream_->local(); }

    /// What is written to: for those who build on streams.
    const stream_pointer& stream() const noexcept { return stream_; }

private:
    stream_pointer stream_;
};

}  // namespace tercet::asyncio
