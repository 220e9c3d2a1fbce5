#pragma once

#include <tercet/asyncio/receive_buffer.hpp>
#include <tercet/asyncio/socket_address.hpp>
#include <tercet/asyncio/wait_list.hpp>
#include <tercet/asyncio/watched_socket.hpp>

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace tercet::asyncio {

class stream_security;

/// A connection: what its reader and its writer share. Counted references, of one thread.
class stream_socket : public watched_socket {
public:
    static constexpr std::size_t default_limit = std::size_t{64} << 10;

    /// Takes over `descriptor`, with one reference; watches it when it is connected.
    stream_socket(event_loop& loop, int descriptor, const socket_address& peer, std::size_t limit) noexcept;

    void add_reference() noexcept { ++references_; }
    void release() noexcept {
        if (--references_ == 0) delete this;
    }

    // Reading
    receive_buffer& received() noexcept { return received_; }
    std::size_t limit() const noexcept { return limit_; }
    bool has_eof() const noexcept { return has_eof_; }
    /// What recv says: how many bytes have come, 0 at the end of the stream, or -1 with `errno`; `EAGAIN` when nothing
    /// has come yet.
    ssize_t receive(std::span<char> into) noexcept;
    /// The same into `received()`, of a stream with TLS; `EPROTO` when that has failed.
    ssize_t fill_secured() noexcept;

    /// Marks the stream as being read. Throws `invalid_state_error` when it is.
    class reading_guard {
    public:
        explicit reading_guard(stream_socket& read);
        reading_guard(const reading_guard&) = delete;
        reading_guard& operator=(const reading_guard&) = delete;
        ~reading_guard() { read_.is_being_read_ = false; }

    private:
        stream_socket& read_;
    };
    bool is_being_read() const noexcept { return is_being_read_; }
    /// Throws what a second reader gets.
    [[noreturn]] void throw_busy() const;

    // Writing
    void write(std::string_view data);
    void writelines(std::span<const std::string_view> parts);
    void write_eof();
    /// Between the two nobody else may write. Throws `invalid_state_error` when nobody may now.
    void begin_file();
    void end_file() noexcept { is_sending_file_ = false; }
    /// For who sends the file.
    void write_of_file(std::string_view data) { write_checked(data); }
    /// Sends what is queued. False: not all of it went.
    bool flush_all() noexcept;
    /// Nothing can be sent any more.
    void lose(int error) noexcept;
    /// Closes when everything is written.
    void close() noexcept;
    /// Closes now; the peer sees a reset, since what was not written yet is lost.
    void abort() noexcept;
    bool is_closing() const noexcept { return is_closing_; }
    bool is_paused() const noexcept { return is_paused_; }
    void set_write_buffer_limits(std::size_t high, std::size_t low) noexcept;
    std::size_t unsent() const noexcept { return output_.size() - sent_; }
    /// 0, or why the connection was lost.
    int write_error() const noexcept { return write_error_; }
    wait_list& drainers() noexcept { return drainers_; }
    /// Where who copies the file waits for room.
    wait_list& file_drainers() noexcept { return file_drainers_; }
    wait_list& closers() noexcept { return closers_; }

    // TLS; see stream_security.cpp

    void secure(std::unique_ptr<stream_security> security);
    /// Null without TLS.
    stream_security* security() const noexcept { return security_.get(); }
    /// "TLS with example.org (192.0.2.1:443)"
    std::string security_name() const;
    bool has_failed_security() const noexcept;
    /// One try to receive for the session. False, with `errno`: nothing came.
    bool feed_security() noexcept;
    void decrypt_what_came();
    void send_encrypted() noexcept;
    /// The time for closing has passed.
    void end_shutdown() noexcept;

    /// What errors call it: "127.0.0.1:80".
    virtual std::string name() const { return peer_.to_string(); }
    const socket_address& peer() const noexcept { return peer_; }
    socket_address local() const noexcept {
        return is_open() ? sockets().local_address(descriptor()) : socket_address();
    }
    /// Throws `std::system_error`: "read 127.0.0.1:80: Connection reset by peer".
    [[noreturn]] void throw_error(const char* call, int error) const;

    void on_ready(readiness what) noexcept override;
    void on_loop_end() noexcept override;

protected:
    ~stream_socket() override;

    // One system call each: what it says, or -1 with `errno`.
    virtual ssize_t receive_once(std::span<char> into) noexcept;
    virtual ssize_t send_once(std::string_view data) noexcept;
    /// Everything was written, and no more will be.
    virtual void end_output() noexcept;
    /// Less than what was asked for does not say that there is nothing more, as it does for sockets.
    void distrust_short_reads() noexcept { is_drained_by_short_read_ = false; }

private:
    void require_writable(const char* call) const;
    void write_checked(std::string_view data);
    void send_or_queue(std::string_view data);
    std::size_t send_some(std::string_view data) noexcept;
    void flush() noexcept;
    void update_paused() noexcept;
    void wake_drainers() noexcept;
    void finish_close() noexcept;

    [[noreturn]] void throw_security_failure(const char* call) const;
    void write_secured(std::string_view data);
    void end_secured_output() noexcept;
    bool begin_shutdown() noexcept;
    void start_shutdown_timer() noexcept;
    void stop_shutdown_timer() noexcept;
    void discard_secured() noexcept;

    receive_buffer received_;
    std::string output_;
    std::size_t sent_ = 0;
    std::unique_ptr<stream_security> security_;
    wait_list drainers_;
    wait_list file_drainers_;
    wait_list closers_;
    socket_address peer_;
    std::size_t limit_;
    std::size_t high_water_ = std::size_t{64} << 10;
    std::size_t low_water_ = std::size_t{16} << 10;
    std::uint32_t references_ = 1;
    int write_error_ = 0;
    bool has_eof_ = false;
    bool is_drained_by_short_read_ = true;
    bool is_being_read_ = false;
    bool is_paused_ = false;
    bool is_eof_written_ = false;
    bool is_sending_file_ = false;
    bool is_closing_ = false;
    bool is_lingering_ = false;  // holds a reference to itself until the output is written
    bool awaits_end_ = false;    // closes, and waits for the peer's end of TLS
};

/// A reference to a connection.
class stream_pointer {
public:
    stream_pointer() noexcept = default;
    /// Takes over one reference.
    explicit stream_pointer(stream_socket* stream) noexcept : stream_(stream) {}
    stream_pointer(const stream_pointer& other) noexcept : stream_(other.stream_) {
        if (stream_) stream_->add_reference();
    }
    stream_pointer(stream_pointer&& other) noexcept : stream_(std::exchange(other.stream_, nullptr)) {}
    stream_pointer& operator=(stream_pointer other) noexcept {
        std::swap(stream_, other.stream_);
        return *this;
    }
    ~stream_pointer() {
        if (stream_) stream_->release();
    }

    /// Throws `invalid_state_error` when there is none.
    stream_socket& operator*() const;
    stream_socket* operator->() const { return &**this; }
    explicit operator bool() const noexcept { return stream_ != nullptr; }

private:
    stream_socket* stream_ = nullptr;
};

}  // namespace tercet::asyncio
