// Records are small and of one size for each direction of a connection, so a stream keeps them apart by itself. A
// record that came in part is waited for: its sender has written it with one call, which a signal or a full buffer may
// cut but not leave unfinished.

#include "socket.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <span>
#include <system_error>
#include <vector>

#include "passed_descriptors.hpp"

namespace tercet::multiprocessing {

namespace {

/// `fd`, or a copy of it above the standard streams, which a program may have closed.
unique_fd above_standard_streams(unique_fd fd) {
    if (fd.get() > STDERR_FILENO) return fd;
    const int moved = ::fcntl(fd.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (moved < 0) throw std::system_error(errno, std::system_category(), "fcntl(F_DUPFD_CLOEXEC)");
    return unique_fd(moved);
}

void wait_for(int socket, short events) {
    pollfd waited{socket, events, 0};
    ::poll(&waited, 1, -1);
}

}  // namespace

std::pair<unique_fd, unique_fd> make_socket_pair() {
    std::array<int, 2> fds{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()) != 0)
        throw std::system_error(errno, std::system_category(), "socketpair");
    unique_fd first(fds[0]);
    unique_fd second(fds[1]);
    first = above_standard_streams(std::move(first));
    second = above_standard_streams(std::move(second));
    return {std::move(first), std::move(second)};
}

void set_nonblocking(int fd) {
    const int flags = ::fcntl(fd, F_GETFL);
    if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
        throw std::system_error(errno, std::system_category(), "fcntl(O_NONBLOCK)");
}

io_status send_record(int socket, const void* record, std::size_t size, int passed_fd) {
    passed_descriptors passed;
    std::size_t sent = 0;
    while (sent < size) {
        iovec part{const_cast<char*>(static_cast<const char*>(record)) + sent, size - sent};
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        if (passed_fd >= 0 && sent == 0) passed.attach(message, std::span(&passed_fd, 1));
        const ssize_t count = ::sendmsg(socket, &message, MSG_NOSIGNAL);
        if (count >= 0) {
            sent += static_cast<std::size_t>(count);
        } else if (errno == EAGAIN || errno == ETOOMANYREFS || errno == ENOBUFS) {
            if (sent == 0) return io_status::blocked;
            wait_for(socket, POLLOUT);
        } else if (errno != EINTR) {
            return io_status::closed;
        }
    }
    return io_status::done;
}

io_status receive_record(int socket, void* record, std::size_t size, unique_fd* passed_fd) {
    std::size_t received = 0;
    while (received < size) {
        passed_descriptors passed;
        iovec part{static_cast<char*>(record) + received, size - received};
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        passed.expect(message);
        const ssize_t count = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
        if (count > 0) {
            received += static_cast<std::size_t>(count);
            std::vector<unique_fd> kept;
            passed_descriptors::keep(message, kept);
            if (passed_fd && !kept.empty()) *passed_fd = std::move(kept.back());
        } else if (count == 0) {
            return io_status::closed;
        } else if (errno == EAGAIN) {
            if (received == 0) return io_status::blocked;
            wait_for(socket, POLLIN);
        } else if (errno != EINTR) {
            return io_status::closed;
        }
    }
    return io_status::done;
}

}  // namespace tercet::multiprocessing
