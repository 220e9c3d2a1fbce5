#include <tercet/futures/errors.hpp>
#include <tercet/multiprocessing/client.hpp>

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <system_error>
#include <utility>

#include "authentication.hpp"
#include "descriptor_poll.hpp"
#include "line_address.hpp"

namespace tercet::multiprocessing {

namespace {

using clock = std::chrono::steady_clock;

/// Connects; 0 or an errno, ETIMEDOUT when the deadline passes. A Unix socket whose listener has no room is not waited
/// for by the kernel when it must not block: it says EAGAIN, and is asked again.
int connect_by(int socket, const line_address& address, clock::time_point deadline) {
    using namespace std::chrono_literals;
    while (::connect(socket, address.data(), address.size) != 0) {
        if (errno == EAGAIN) {
            const auto now = clock::now();
            if (now >= deadline) return ETIMEDOUT;
            poll_until({}, std::min(deadline, now + 1ms));
            continue;
        }
        if (errno != EINPROGRESS && errno != EINTR) return errno;
        if (!is_ready_by(socket, POLLOUT, deadline)) return ETIMEDOUT;
        int error = 0;
        socklen_t size = sizeof error;
        ::getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &size);
        return error;
    }
    return 0;
}

}  // namespace

connection client(const std::string& address, const client_options& options) {
    const auto deadline = options.timeout.deadline();
    int error = 0;
    for (const auto& each : parse_address(address)) {
        unique_fd socket = open_socket(each.family());
        error = connect_by(socket.get(), each, deadline);
        if (error != 0) continue;
        if (address.starts_with('@') && !is_of_this_user(socket.get()))
            throw authentication_error(
                fmt::format("client: connect {}: a process of another user listens there", address));
        const int on = 1;
        if (each.family() != AF_UNIX) ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        connection line(std::move(socket));
        greet_listener(line, options.authkey, deadline);
        return line;
    }
    if (error == ETIMEDOUT && clock::now() >= deadline)
        throw timeout_error(fmt::format("client: connect {}: nobody answered in the time given", address));
    throw std::system_error(error, std::system_category(), fmt::format("client: connect {}", address));
}

}  // namespace tercet::multiprocessing
