// The file of a Unix socket. bind() does not take a path at which a file is, not even one that a server has left which
// was killed. Such a file is removed first, if it is a socket on which nobody listens: connecting to it says so. What
// stands at the path after bind() is ours; when we close it may be another's, who has put a file of his in its place,
// so it is removed only if it is still the same.

#include "asyncio/listener.hpp"

#include <tercet/asyncio/event_loop.hpp>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <system_error>

namespace tercet::asyncio {

namespace {

constexpr int attempts_for_a_port = 10;

/// A socket file at which nobody listens any more.
bool is_left_over(const socket_address& address) noexcept {
    struct stat file {};
    if (::lstat(address.path().c_str(), &file) != 0 || !S_ISSOCK(file.st_mode)) return false;
    const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (probe < 0) return false;
    const bool is_refused = ::connect(probe, address.data(), address.size()) != 0 && errno == ECONNREFUSED;
    ::close(probe);
    return is_refused;
}

}  // namespace

listener::listener(event_loop& loop, const socket_address& address)
    : watched_socket(loop, loop.sockets().open(address.family())), address_(address) {
    if (!is_open()) throw_error(errno);
}

listener::listener(event_loop& loop, const socket_address& address, const server_options& options)
    : listener(loop, address) {
    set_options(options);
    const std::string path = address.path();
    const bool is_in_file_system = !path.empty() && path.front() != '\0';
    if (is_in_file_system && is_left_over(address)) ::unlink(path.c_str());
    if (sockets().bind(descriptor(), address) != 0) throw_error(errno);
    has_file_ = is_in_file_system && ::lstat(path.c_str(), &file_) == 0;
    if (sockets().listen(descriptor(), options.backlog) != 0) throw_error(errno);
    address_ = sockets().local_address(descriptor());
    watch(trigger::on_demand);
}

void listener::set_options(const server_options& options) {
    if (address_.is_unix()) return;
    const auto set = [&](int level, int name) {
        if (sockets().set_option(descriptor(), level, name, 1) != 0) throw_error(errno);
    };
    set(SOL_SOCKET, SO_REUSEADDR);
    if (options.reuse_port) set(SOL_SOCKET, SO_REUSEPORT);
    if (address_.family() == AF_INET6) set(IPPROTO_IPV6, IPV6_V6ONLY);
}

void listener::throw_error(int error) const {
    throw std::system_error(error, std::system_category(), "listen " + address_.to_string());
}

void listener::close() noexcept {
    if (std::exchange(has_file_, false)) {
        const std::string path = address_.path();
        struct stat file {};
        if (::lstat(path.c_str(), &file) == 0 && file.st_ino == file_.st_ino && file.st_dev == file_.st_dev)
            ::unlink(path.c_str());
    }
    close_descriptor();
}

namespace {

std::list<listener> try_to_listen_on_all(const std::vector<socket_address>& addresses, const server_options& options) {
    std::list<listener> listeners;
    std::exception_ptr unavailable;
    std::uint16_t chosen_port = 0;
    for (auto place = addresses.begin(); place != addresses.end(); ++place) {
        if (std::find(addresses.begin(), place, *place) != place) continue;
        socket_address address = *place;
        if (chosen_port != 0) address.set_port(chosen_port);
        try {
            listeners.emplace_back(get_running_loop(), address, options);
        } catch (const std::system_error& error) {
            if (error.code().value() != EADDRNOTAVAIL && error.code().value() != EAFNOSUPPORT) throw;
            unavailable = std::current_exception();
            continue;
        }
        if (address.port() == 0) chosen_port = listeners.back().address().port();
    }
    if (listeners.empty()) std::rethrow_exception(unavailable);
    return listeners;
}

}  // namespace

std::list<listener> listen_on_all(const std::vector<socket_address>& addresses, const server_options& options) {
    for (int attempt = 1;; ++attempt) {
        try {
            return try_to_listen_on_all(addresses, options);
        } catch (const std::system_error& error) {
            // The system chose a port that is free at the first address, and it is taken at another.
            const bool may_choose = !addresses.front().is_unix() && addresses.front().port() == 0;
            if (!may_choose || error.code().value() != EADDRINUSE || attempt == attempts_for_a_port) throw;
        }
    }
}

accept_operation::~accept_operation() {
    if (accepted_ >= 0) sockets().close(accepted_);
}

bool accept_operation::attempt() noexcept {
    for (;;) {
        accepted_ = sockets().accept(listener_, peer_);
        if (accepted_ >= 0) return true;
        switch (errno) {
            case EAGAIN:
                drained_reading();
                return false;
            // Errors of one connection, gone before it was accepted (accept(2)).
            case ECONNABORTED:
            case EPROTO:
            case ENETDOWN:
            case ENOPROTOOPT:
            case EHOSTDOWN:
            case ENONET:
            case EHOSTUNREACH:
            case ENETUNREACH:
                break;
            default:
                fail(errno);
                return true;
        }
    }
}

}  // namespace tercet::asyncio
