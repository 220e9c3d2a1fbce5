#include <tercet/futures/errors.hpp>
#include <tercet/multiprocessing/connection.hpp>

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>
#include <utility>

#include "descriptor_poll.hpp"
#include "message_socket.hpp"

namespace tercet::multiprocessing {

namespace {

bool carries_descriptors(int socket) noexcept {
    int domain = 0;
    socklen_t size = sizeof domain;
    return ::getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX;
}

}  // namespace

connection::connection() noexcept = default;

connection::connection(unique_fd socket, bool readable, bool writable)
    : socket_(std::move(socket)),
      is_readable_(readable),
      is_writable_(writable),
      reader_(readable ? std::make_unique<message_reader>() : nullptr) {}

connection::connection(connection&& other) noexcept
    : socket_(std::move(other.socket_)),
      is_readable_(std::exchange(other.is_readable_, false)),
      is_writable_(std::exchange(other.is_writable_, false)),
      reader_(std::move(other.reader_)) {}

connection& connection::operator=(connection&& other) noexcept {
    socket_ = std::move(other.socket_);
    is_readable_ = std::exchange(other.is_readable_, false);
    is_writable_ = std::exchange(other.is_writable_, false);
    reader_ = std::move(other.reader_);
    return *this;
}

connection::~connection() = default;

void connection::require(bool is_able, const char* call) const {
    if (!socket_) throw invalid_state_error(fmt::format("connection: {}: it is closed", call));
    if (!is_able)
        throw invalid_state_error(
            fmt::format("connection: {}: this end can only {}", call, is_readable_ ? "receive" : "send"));
}

void connection::send_message(std::uint64_t type, std::span<const std::byte> bytes,
                              const std::vector<unique_fd>& descriptors, time_limit limit) {
    require(is_writable_, "send");
    if (!descriptors.empty() && !carries_descriptors(socket_.get()))
        throw std::system_error(EOPNOTSUPP, std::system_category(),
                                "connection: send: file descriptors travel over Unix sockets only");
    const auto deadline = limit.deadline();
    message_writer writer(type, bytes, descriptors);
    for (;;) {
        const auto status = writer.write(socket_.get());
        if (status == message_status::done) return;
        if (status != message_status::blocked) {
            const int error = status == message_status::closed ? EPIPE : errno;
            throw std::system_error(error, std::system_category(), "connection: send");
        }
        if (is_ready_by(socket_.get(), POLLOUT, deadline)) continue;
        if (!writer.has_begun()) throw timeout_error("connection: send: no room for the message in the time given");
        // The other end will see the end of the stream in the middle of this message.
        ::shutdown(socket_.get(), SHUT_WR);
        is_writable_ = false;
        throw timeout_error(
            "connection: send: the message was sent in part in the time given; this connection sends no more");
    }
}

connection::received connection::receive_message(time_limit limit, std::size_t max_size) {
    require(is_readable_, "recv");
    const auto deadline = limit.deadline();
    for (;;) {
        switch (reader_->read(socket_.get(), max_size)) {
            case message_status::done:
                return {reader_->type(), reader_->take_bytes(), reader_->take_descriptors()};
            case message_status::blocked:
                if (!is_ready_by(socket_.get(), POLLIN, deadline))
                    throw timeout_error("connection: recv: no message came in the time given");
                break;
            case message_status::closed:
                throw eof_error(fmt::format("connection: recv: the other end is closed{}",
                                            reader_->has_begun() ? ", in the middle of a message" : ""));
            case message_status::malformed:
                throw decode_error(
                    fmt::format("connection: recv: {} came; this end receives no more", reader_->problem()));
            case message_status::failed:
                throw std::system_error(errno, std::system_category(), "connection: recv");
        }
    }
}

std::vector<std::byte> connection::recv_bytes(time_limit limit, std::size_t max_size) {
    const auto message = receive_message(limit, max_size);
    const auto bytes = message.bytes.bytes();
    return {bytes.begin(), bytes.end()};
}

bool connection::poll(time_limit limit) const {
    require(is_readable_, "poll");
    return is_ready_by(socket_.get(), POLLIN, limit.deadline());
}

int connection::fileno() const {
    require(true, "fileno");
    return socket_.get();
}

int connection::fileno_to_send() const {
    if (reader_ && reader_->has_begun())
        throw invalid_state_error("connection: it cannot be sent while a message of it has come in part");
    return fileno();
}

void connection::close() noexcept {
    socket_.reset();
    reader_.reset();
}

}  // namespace tercet::multiprocessing
