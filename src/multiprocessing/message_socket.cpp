// A message is a head and its bytes. Descriptors go with the first byte of the head, and the kernel does not let one
// recvmsg() run over the begin of what brings others; so the head is received by itself, and whatever comes with a
// piece of it belongs to this message.
//
// Both directions ask the socket without waiting (MSG_DONTWAIT), whatever its own mode is: it may be shared with
// another process. Who may wait does that with poll, against one deadline.

#include "message_socket.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <new>

#include "passed_descriptors.hpp"

namespace tercet::multiprocessing {

namespace {

constexpr std::size_t first_room = 64U << 10U;

message_status status_of_error() noexcept {
    if (errno == EAGAIN || errno == EWOULDBLOCK) return message_status::blocked;
    return errno == EPIPE || errno == ECONNRESET ? message_status::closed : message_status::failed;
}

}  // namespace

message_writer::message_writer(std::uint64_t type, std::span<const std::byte> bytes,
                               std::span<const unique_fd> descriptors) noexcept
    : bytes_(bytes), descriptors_(descriptors) {
    head_.descriptors = static_cast<std::uint32_t>(descriptors.size());
    head_.size = bytes.size();
    head_.type = type;
}

message_status message_writer::write(int socket) noexcept {
    while (sent_ < sizeof head_ + bytes_.size()) {
        std::array<iovec, 2> parts{};
        msghdr message{};
        message.msg_iov = parts.data();
        if (sent_ < sizeof head_)
            parts[message.msg_iovlen++] = {reinterpret_cast<char*>(&head_) + sent_, sizeof head_ - sent_};
        const std::size_t skipped = std::max(sent_, sizeof head_) - sizeof head_;
        if (skipped < bytes_.size())
            parts[message.msg_iovlen++] = {const_cast<std::byte*>(bytes_.data()) + skipped, bytes_.size() - skipped};
        passed_descriptors passed;
        if (sent_ == 0) passed.attach(message, descriptors_);
        const ssize_t count = ::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count >= 0)
            sent_ += static_cast<std::size_t>(count);
        else if (errno != EINTR)
            return status_of_error();
    }
    return message_status::done;
}

message_status message_reader::read(int socket, std::size_t max_size) {
    if (problem_) return message_status::malformed;
    if (received_ < sizeof head_) {
        if (const auto status = read_head(socket); status != message_status::done) return status;
        if (head_.magic != message_head::expected_magic) return malformed("a message without its mark");
        if (head_.descriptors > descriptors_.size())
            descriptors_.clear();  // not all of them had room here: who wants one is told that there is none
    }
    if (head_.size > max_size) return malformed("a message larger than the limit");
    if (is_skipping_) return skip(socket);
    for (;;) {
        const std::size_t received = received_ - sizeof head_;
        if (received == head_.size) {
            bytes_.resize(received);
            return message_status::done;
        }
        const auto room =
            static_cast<std::size_t>(std::min<std::uint64_t>(head_.size, std::max(first_room, 2 * received)));
        try {
            if (bytes_.size() < room) bytes_.resize(room);
        } catch (const std::bad_alloc&) {
            bytes_ = byte_buffer();
            is_skipping_ = true;
            return skip(socket);
        }
        const ssize_t count = ::recv(socket, bytes_.data() + received, room - received, MSG_DONTWAIT);
        if (count == 0) return message_status::closed;
        if (count > 0)
            received_ += static_cast<std::size_t>(count);
        else if (errno != EINTR)
            return status_of_error();
    }
}

message_status message_reader::skip(int socket) {
    std::array<std::byte, 16U << 10U> room;
    while (received_ - sizeof head_ < head_.size) {
        const auto left =
            static_cast<std::size_t>(std::min<std::uint64_t>(room.size(), head_.size - (received_ - sizeof head_)));
        const ssize_t count = ::recv(socket, room.data(), left, MSG_DONTWAIT);
        if (count == 0) return message_status::closed;
        if (count > 0)
            received_ += static_cast<std::size_t>(count);
        else if (errno != EINTR)
            return status_of_error();
    }
    received_ = 0;
    descriptors_.clear();
    is_skipping_ = false;
    throw std::bad_alloc();
}

message_status message_reader::read_head(int socket) {
    while (received_ < sizeof head_) {
        passed_descriptors passed;
        iovec part{reinterpret_cast<char*>(&head_) + received_, sizeof head_ - received_};
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        passed.expect(message);
        const ssize_t count = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        if (count == 0) return message_status::closed;
        if (count > 0) {
            received_ += static_cast<std::size_t>(count);
            try {
                passed_descriptors::keep(message, descriptors_);
            } catch (const std::bad_alloc&) {
                is_skipping_ = true;
            }
            if (descriptors_.size() > max_descriptors)
                return malformed("more file descriptors than may come with a message");
        } else if (errno != EINTR) {
            return status_of_error();
        }
    }
    return message_status::done;
}

message_status message_reader::malformed(const char* problem) noexcept {
    problem_ = problem;
    return message_status::malformed;
}

byte_buffer message_reader::take_bytes() noexcept {
    received_ = 0;
    return std::exchange(bytes_, byte_buffer());
}

}  // namespace tercet::multiprocessing
