#include "line_address.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/random.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace tercet::multiprocessing {

namespace {

line_address unix_address(const std::string& text) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (text.size() >= sizeof address.sun_path)
        throw std::invalid_argument(fmt::format("connection: '{}': a socket's path has less than {} characters", text,
                                                sizeof address.sun_path));
    std::memcpy(address.sun_path, text.data(), text.size());
    const bool is_abstract = text.front() == '@';
    if (is_abstract) address.sun_path[0] = '\0';
    line_address result;
    std::memcpy(&result.storage, &address, sizeof address);
    result.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + text.size() + (is_abstract ? 0 : 1));
    return result;
}

}  // namespace

bool is_unix_address(const std::string& text) noexcept {
    return text.find('/') != std::string::npos || text.starts_with('@');
}

std::vector<line_address> parse_address(const std::string& text) {
    if (is_unix_address(text)) return {unix_address(text)};
    const auto colon = text.rfind(':');
    if (colon == std::string::npos || colon == 0 || colon + 1 == text.size())
        throw std::invalid_argument(
            fmt::format("connection: '{}' is no address: write \"host:port\", a path with a /, or \"@name\"", text));
    std::string host = text.substr(0, colon);
    if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV;
    addrinfo* found = nullptr;
    const int error = ::getaddrinfo(host.c_str(), text.c_str() + colon + 1, &hints, &found);
    if (error != 0)
        throw std::system_error(error == EAI_SYSTEM ? errno : EADDRNOTAVAIL, std::system_category(),
                                fmt::format("connection: {}: {}", text, ::gai_strerror(error)));
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owned(found, &::freeaddrinfo);
    std::vector<line_address> addresses;
    for (const addrinfo* each = found; each; each = each->ai_next) {
        line_address address;
        std::memcpy(&address.storage, each->ai_addr, each->ai_addrlen);
        address.size = each->ai_addrlen;
        addresses.push_back(address);
    }
    return addresses;
}

std::string address_of(int socket) {
    line_address address;
    address.size = sizeof address.storage;
    if (::getsockname(socket, reinterpret_cast<sockaddr*>(&address.storage), &address.size) != 0)
        throw std::system_error(errno, std::system_category(), "listener: getsockname");
    std::array<char, INET6_ADDRSTRLEN> host{};
    if (address.family() == AF_INET6) {
        sockaddr_in6 ip{};
        std::memcpy(&ip, &address.storage, sizeof ip);
        ::inet_ntop(AF_INET6, &ip.sin6_addr, host.data(), host.size());
        return fmt::format("[{}]:{}", host.data(), ntohs(ip.sin6_port));
    }
    sockaddr_in ip{};
    std::memcpy(&ip, &address.storage, sizeof ip);
    ::inet_ntop(AF_INET, &ip.sin_addr, host.data(), host.size());
    return fmt::format("{}:{}", host.data(), ntohs(ip.sin_port));
}

unique_fd open_socket(int family) {
    unique_fd socket(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!socket) throw std::system_error(errno, std::system_category(), "connection: socket");
    if (socket.get() > STDERR_FILENO) return socket;
    unique_fd moved(::fcntl(socket.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
    if (!moved) throw std::system_error(errno, std::system_category(), "connection: fcntl(F_DUPFD_CLOEXEC)");
    return moved;
}

std::string random_abstract_address() {
    std::array<std::uint64_t, 2> number{};
    if (::getrandom(number.data(), sizeof number, 0) != sizeof number)
        throw std::system_error(errno, std::system_category(), "listener: getrandom");
    return fmt::format("@tercet-{:016x}{:016x}", number[0], number[1]);
}

bool is_of_this_user(int socket) noexcept {
    ucred peer{};
    socklen_t size = sizeof peer;
    return ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == ::geteuid();
}

}  // namespace tercet::multiprocessing
