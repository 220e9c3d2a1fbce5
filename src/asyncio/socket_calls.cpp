#include <tercet/asyncio/poller.hpp>
#include <tercet/asyncio/socket_calls.hpp>

#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace tercet::asyncio {

int socket_calls::open(int family) noexcept { return ::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0); }

int socket_calls::open_datagram(int family) noexcept {
    return ::socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

int socket_calls::set_option(int descriptor, int level, int name, int value) noexcept {
    return ::setsockopt(descriptor, level, name, &value, sizeof value);
}

int socket_calls::bind(int descriptor, const socket_address& address) noexcept {
    return ::bind(descriptor, address.data(), address.size());
}

int socket_calls::listen(int descriptor, int backlog) noexcept { return ::listen(descriptor, backlog); }

int socket_calls::connect(int descriptor, const socket_address& peer) noexcept {
    const int result = ::connect(descriptor, peer.data(), peer.size());
    return result != 0 && (errno == EINPROGRESS || errno == EINTR) ? 0 : result;
}

int socket_calls::connect_error(io_source& source) noexcept {
    int result = 0;
    socklen_t length = sizeof result;
    if (::getsockopt(source.descriptor(), SOL_SOCKET, SO_ERROR, &result, &length) != 0) return errno;
    if (result != 0) return result;
    sockaddr_storage peer{};
    length = sizeof peer;
    return ::getpeername(source.descriptor(), reinterpret_cast<sockaddr*>(&peer), &length) == 0 ? 0 : EINPROGRESS;
}

int socket_calls::accept(io_source& listener, socket_address& peer) noexcept {
    sockaddr_storage from{};
    socklen_t length = sizeof from;
    int accepted;
    do {
        accepted =
            ::accept4(listener.descriptor(), reinterpret_cast<sockaddr*>(&from), &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    } while (accepted < 0 && errno == EINTR);
    if (accepted >= 0) peer = socket_address(reinterpret_cast<const sockaddr*>(&from), length);
    return accepted;
}

ssize_t socket_calls::receive(io_source& source, std::span<char> into) noexcept {
    ssize_t count;
    do {
        count = ::recv(source.descriptor(), into.data(), into.size(), 0);
    } while (count < 0 && errno == EINTR);
    return count;
}

ssize_t socket_calls::send(io_source& source, std::string_view data) noexcept {
    ssize_t count;
    do {
        count = ::send(source.descriptor(), data.data(), data.size(), MSG_NOSIGNAL);
    } while (count < 0 && errno == EINTR);
    return count;
}

ssize_t socket_calls::send_file(io_source& source, int file, off_t& offset, std::size_t count) noexcept {
    ssize_t sent;
    do {
        sent = ::sendfile(source.descriptor(), file, &offset, count);
    } while (sent < 0 && errno == EINTR);
    return sent;
}

ssize_t socket_calls::receive_from(io_source& source, std::span<char> into, int flags, socket_address& from) noexcept {
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    ssize_t count;
    do {
        length = sizeof address;
        count = ::recvfrom(source.descriptor(), into.data(), into.size(), flags | MSG_TRUNC,
                           reinterpret_cast<sockaddr*>(&address), &length);
    } while (count < 0 && errno == EINTR);
    if (count >= 0) from = socket_address(reinterpret_cast<const sockaddr*>(&address), length);
    return count;
}

ssize_t socket_calls::send_to(io_source& source, std::string_view data, const socket_address& to) noexcept {
    ssize_t count;
    do {
        count = ::sendto(source.descriptor(), data.data(), data.size(), MSG_NOSIGNAL,
                         to.size() > 0 ? to.data() : nullptr, to.size());
    } while (count < 0 && errno == EINTR);
    return count;
}

void socket_calls::shut_down(io_source& source) noexcept { ::shutdown(source.descriptor(), SHUT_WR); }

void socket_calls::close(int descriptor) noexcept { ::close(descriptor); }

void socket_calls::reset(int descriptor) noexcept {
    const linger at_once{1, 0};
    ::setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    ::close(descriptor);
}

std::vector<socket_address> socket_calls::look_up(const std::string&, std::uint16_t, bool) { return {}; }

socket_address socket_calls::local_address(int descriptor) noexcept { return socket_address::local_of(descriptor); }

}  // namespace tercet::asyncio
