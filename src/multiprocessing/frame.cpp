#include "frame.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "passed_descriptors.hpp"

namespace tercet::multiprocessing {

namespace {

constexpr std::size_t small_frame = 64U << 10U;

/// Receives bytes, and the descriptors that come with them. As recv().
ssize_t receive(int socket, std::span<std::byte> room, std::vector<unique_fd>& descriptors) {
    passed_descriptors passed;
    iovec part{room.data(), room.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    passed.expect(message);
    const ssize_t count = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    if (count >= 0) passed_descriptors::keep(message, descriptors);
    return count;
}

ssize_t send_first(int socket, std::span<const std::byte> bytes, std::span<const unique_fd> descriptors) noexcept {
    passed_descriptors passed;
    iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    passed.attach(message, descriptors);
    return ::sendmsg(socket, &message, MSG_NOSIGNAL);
}

}  // namespace

void complete_frame(byte_buffer& frame, frame_kind kind, std::uint64_t detail) {
    frame_head head;
    head.kind = kind;
    head.size = frame.size() - sizeof head;
    head.detail = detail;
    std::memcpy(frame.data(), &head, sizeof head);
}

frame_reader::status frame_reader::read(int socket) {
    for (;;) {
        if (has_head_ && received_ == sizeof head_ + head_.size) return status::complete;
        std::size_t room = sizeof head_;  // no more, for the next frame may follow
        if (has_head_)
            room = static_cast<std::size_t>(
                std::min<std::uint64_t>(sizeof head_ + head_.size, std::max(small_frame, 2 * received_)));
        if (buffer_.size() < room) buffer_.resize(room);
        const ssize_t count = receive(socket, {buffer_.data() + received_, room - received_}, descriptors_);
        if (count == 0) return status::closed;
        if (count < 0) {
            if (errno == EINTR) continue;
            return errno == EAGAIN ? status::blocked : status::closed;
        }
        received_ += static_cast<std::size_t>(count);
        if (descriptors_.size() > max_descriptors) {
            problem_ = "more file descriptors than may come with a message";
            return status::malformed;
        }
        if (!has_head_ && received_ >= sizeof head_ && check_head() == status::malformed) return status::malformed;
    }
}

frame_reader::status frame_reader::check_head() noexcept {
    std::memcpy(&head_, buffer_.data(), sizeof head_);
    if (head_.magic != frame_head::expected_magic)
        problem_ = "a message without its mark";
    else if (head_.size > limit_)
        problem_ = "a message larger than the limit";
    else
        has_head_ = true;
    return has_head_ ? status::blocked : status::malformed;
}

void frame_reader::next() noexcept {
    if (buffer_.capacity() > small_frame) buffer_ = byte_buffer();
    descriptors_.clear();
    received_ = 0;
    has_head_ = false;
}

io_status send_bytes(int socket, std::span<const std::byte> bytes, std::size_t& sent,
                     std::span<const unique_fd> descriptors) noexcept {
    while (sent < bytes.size()) {
        const bool has_descriptors = sent == 0 && !descriptors.empty();
        const ssize_t count = has_descriptors ? send_first(socket, bytes, descriptors)
                                              : ::send(socket, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
        if (count >= 0)
            sent += static_cast<std::size_t>(count);
        else if (errno == EAGAIN || errno == ENOBUFS || errno == ETOOMANYREFS)
            return io_status::blocked;
        else if (errno != EINTR)
            return io_status::closed;
    }
    return io_status::done;
}

}  // namespace tercet::multiprocessing
