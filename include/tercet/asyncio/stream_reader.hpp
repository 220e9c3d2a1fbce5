#pragma once

#include <tercet/asyncio/coro.hpp>
#include <tercet/asyncio/socket_address.hpp>
#include <tercet/asyncio/stream_errors.hpp>
#include <tercet/asyncio/stream_socket.hpp>
#include <tercet/asyncio/watched_socket.hpp>

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tercet::asyncio {

/// Receives into the stream's buffer.
class fill_operation final : public io_operation {
public:
    explicit fill_operation(stream_socket& stream) noexcept
        : io_operation(stream, watched_socket::direction::reading), stream_(stream) {}
    /// Throws `std::system_error`, `cancelled_error`. At the end of the stream nothing was added.
    void await_resume() const;

private:
    bool begin() noexcept override;
    bool attempt() noexcept override;
    stream_socket& stream_;
};

/// Receives into the caller's memory.
class read_some_operation final : public io_operation {
public:
    read_some_operation(stream_pointer stream, std::span<char> into) noexcept
        : io_operation(*stream, watched_socket::direction::reading), stream_(std::move(stream)), into_(into) {}
    bool await_ready() noexcept;
    std::size_t await_resume() const;

private:
    bool begin() noexcept override;
    bool attempt() noexcept override;
    void take_received() noexcept;
    stream_pointer stream_;
    std::span<char> into_;
    std::size_t count_ = 0;
    bool is_second_reader_ = false;
};

/// Waits until a read would find something, and takes nothing.
class readable_operation final : public io_operation {
public:
    explicit readable_operation(stream_pointer stream) noexcept
        : io_operation(*stream, watched_socket::direction::reading), stream_(std::move(stream)) {}
    bool await_ready() noexcept;
    void await_resume() const;

private:
    bool attempt() noexcept override { return true; }
    stream_pointer stream_;
    bool is_second_reader_ = false;
};

/// The receiving side of a connection. One coroutine reads at a time: another throws `invalid_state_error`.
///
/// Every read throws `std::system_error` when the connection fails ("read 127.0.0.1:80: Connection reset by peer"),
/// also when it is closed here meanwhile (`ECONNABORTED`), and `cancelled_error`. Cancel safety: what has arrived stays
/// in the stream for the next read. The loop's thread.
class stream_reader {
public:
    explicit stream_reader(stream_pointer stream) noexcept : stream_(std::move(stream)) {}

    /// Up to `count` bytes, as soon as there are any; empty at the end of the stream.
    [[nodiscard]] coro<std::string> read(std::size_t count) const { return read(stream_, count); }
    /// Everything until the end of the stream; as much as the peer cares to send.
    [[nodiscard]] coro<std::string> read() const { return read_to_end(stream_); }
    /// The same as `read(count)` without a copy; 0 at the end of the stream. `into` must not be empty and must stay.
    [[nodiscard]] read_some_operation read_some(std::span<char> into) const { return {stream_, into}; }
    /// Waits until there may be something to read, or the end, or an error: then `try_read_some` says which. So a
    /// connection that is silent needs no buffer, and one buffer, in the cache, serves many connections.
    [[nodiscard]] readable_operation readable() const { return readable_operation(stream_); }
    /// What is there now, up to the size of `into`, which must not be empty; 0 at the end of the stream, and nothing
    /// when there is nothing yet. Never waits. Throws `std::system_error`, and `invalid_state_error` while another
    /// coroutine reads.
    [[nodiscard]] std::optional<std::size_t> try_read_some(std::span<char> into) const;
    /// Exactly `count` bytes. Throws `incomplete_read_error` when the stream ends before.
    [[nodiscard]] coro<std::string> read_exactly(std::size_t count) const { return read_exactly(stream_, count); }
    /// Everything up to and with `separator`. Throws `incomplete_read_error` when the stream ends before,
    /// `limit_overrun_error` when it does not come within the stream's limit, `std::invalid_argument` when it is empty.
    [[nodiscard]] coro<std::string> read_until(std::string separator) const {
        return read_until(stream_, std::move(separator));
    }
    /// The same with whichever of `separators` ends first.
    [[nodiscard]] coro<std::string> read_until_any(std::vector<std::string> separators) const {
        return read_until_any(stream_, std::move(separators));
    }
    /// A line with its "\n"; the rest without one at the end of the stream. Throws `limit_overrun_error`.
    [[nodiscard]] coro<std::string> read_line() const { return read_line(stream_); }

    /// The stream has ended and everything was read.
    bool at_eof() const { return stream_->has_eof() && stream_->received().empty(); }

private:
    static coro<std::string> read(stream_pointer stream, std::size_t count);
    static coro<std::string> read_to_end(stream_pointer stream);
    static coro<std::string> read_exactly(stream_pointer stream, std::size_t count);
    static coro<std::string> read_until(stream_pointer stream, std::string separator);
    static coro<std::string> read_until_any(stream_pointer stream, std::vector<std::string> separators);
    static coro<std::string> read_line(stream_pointer stream);

    stream_pointer stream_;
};

}  // namespace tercet::asyncio
