#pragma once

#include <tercet/futures/time_limit.hpp>
#include <tercet/multiprocessing/codec.hpp>
#include <tercet/multiprocessing/remote_call.hpp>
#include <tercet/multiprocessing/type_hash.hpp>
#include <tercet/multiprocessing/unique_fd.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <vector>

namespace tercet::multiprocessing {

class message_reader;

/// One end of a line to another process: values and blocks of bytes, each of them a message that arrives whole or not
/// at all. Made by `pipe`, `listener::accept` and `client`. One thread may send while another receives; otherwise one
/// at a time. May itself be sent to another process, over a connection or as an argument: the other side gets a
/// duplicate, and this one should be closed where it is not needed any more.
///
///     auto [here, there] = pipe();
///     process child(compute, there);  child.start();  there.close();
///     here.send(21);
///     int answer = here.recv<int>();
class connection {
public:
    /// A closed one, to be filled in.
    connection() noexcept;
    /// Takes over a connected stream socket.
    explicit connection(unique_fd socket, bool readable = true, bool writable = true);
    connection(connection&& other) noexcept;
    connection& operator=(connection&& other) noexcept;
    /// Closes it.
    ~connection();

    /// Sends `value`, a string literal as a `std::string`, waiting up to `limit` for room. Throws `timeout_error`,
    /// after which the message has not been sent, or the connection sends no more if it had been sent in part;
    /// `std::system_error` (EPIPE: the other end is closed; EOPNOTSUPP: file descriptors do not travel over TCP);
    /// `invalid_state_error` when this end is closed or only receives.
    template <class T>
    void send(const T& value, time_limit limit = {}) {
        using sent = sent_t<const T&>;
        encoder out;
        if constexpr (std::is_same_v<sent, T>)
            encode(out, value);
        else
            encode<sent>(out, sent(value));
        send_message(type_hash<sent>, out.buffer().bytes(), out.take_descriptors(), limit);
    }

    /// Receives a value that was sent as a `T`, waiting up to `limit` for it. Throws `timeout_error`, after which
    /// nothing is lost; `eof_error` when the other end is closed; `decode_error` when the message is not a `T`, and
    /// `std::bad_alloc` when there is no memory for it: it is then gone, and the next one can be received;
    /// `invalid_state_error` when this end is closed or only sends.
    template <class T>
    T recv(time_limit limit = {}) {
        received message = receive_message(limit);
        if (message.type != type_hash<T>) throw_bad_value("the type of a message", message.type);
        decoder in(message.bytes.bytes(), message.descriptors);
        T value = decode<T>(in);
        in.expect_end();
        return value;
    }

    /// The same for bytes as they are.
    void send_bytes(std::span<const std::byte> bytes, time_limit limit = {}) { send_message(0, bytes, {}, limit); }
    /// Throws `decode_error` also for a message of more than `max_size` bytes, after which this end receives no more.
    std::vector<std::byte> recv_bytes(time_limit limit = {},
                                      std::size_t max_size = std::numeric_limits<std::size_t>::max());

    /// Whether something can be received within `limit`: a message, the begin of one, or the news that the other end is
    /// closed. Not at all by default. Throws as `recv` does for this end.
    bool poll(time_limit limit = std::chrono::seconds(0)) const;

    /// For `wait_ready`, and for event loops. Throws `invalid_state_error` when closed.
    int fileno() const;
    bool readable() const noexcept { return is_readable_; }
    bool writable() const noexcept { return is_writable_; }
    bool closed() const noexcept { return !socket_; }
    /// Once more does nothing. The other end receives what was sent before.
    void close() noexcept;

    /// Sends a duplicate. Throws `invalid_state_error` in the middle of a message.
    template <class Archive>
    void serialize(Archive& archive) {
        if constexpr (Archive::is_saving) {
            archive.write_descriptor(fileno_to_send());
            archive(is_readable_, is_writable_);
        } else {
            unique_fd socket = archive.read_descriptor();
            bool is_readable = false;
            bool is_writable = false;
            archive(is_readable, is_writable);
            *this = connection(std::move(socket), is_readable, is_writable);
        }
    }

private:
    friend class process_state;
    friend class process_child;
    friend class manager_line;

    struct received {
        std::uint64_t type = 0;  ///< 0: bytes
        byte_buffer bytes;
        std::vector<unique_fd> descriptors;
    };

    void send_message(std::uint64_t type, std::span<const std::byte> bytes, const std::vector<unique_fd>& descriptors,
                      time_limit limit);
    received receive_message(time_limit limit, std::size_t max_size = std::numeric_limits<std::size_t>::max());
    int fileno_to_send() const;
    void require(bool is_able, const char* call) const;

    unique_fd socket_;
    bool is_readable_ = false;
    bool is_writable_ = false;
    std::unique_ptr<message_reader> reader_;
};

}  // namespace tercet::multiprocessing
