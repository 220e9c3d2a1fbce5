#include <tercet/asyncio/socket_address.hpp>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <stdexcept>

namespace tercet::asyncio {

namespace {

template <class Kind>
Kind& as(sockaddr_storage& storage) noexcept {
    return reinterpret_cast<Kind&>(storage);
}
template <class Kind>
const Kind& as(const sockaddr_storage& storage) noexcept {
    return reinterpret_cast<const Kind&>(storage);
}

socket_address ask(int descriptor, int (*question)(int, sockaddr*, socklen_t*)) noexcept {
    sockaddr_storage answer{};
    socklen_t length = sizeof answer;
    if (question(descriptor, reinterpret_cast<sockaddr*>(&answer), &length) != 0) return {};
    return {reinterpret_cast<const sockaddr*>(&answer), length};
}

}  // namespace

socket_address::socket_address(const sockaddr* address, socklen_t length) noexcept
    : length_(std::min(length, static_cast<socklen_t>(sizeof storage_))) {
    std::memcpy(&storage_, address, length_);
}

std::optional<socket_address> socket_address::from_numeric(std::string_view host, std::uint16_t port) {
    const std::string text(host);
    socket_address result;
    if (in_addr v4{}; ::inet_pton(AF_INET, text.c_str(), &v4) == 1) {
        auto& address = as<sockaddr_in>(result.storage_);
        address.sin_family = AF_INET;
        address.sin_addr = v4;
        result.length_ = sizeof address;
    } else if (in6_addr v6{}; ::inet_pton(AF_INET6, text.c_str(), &v6) == 1) {
        auto& address = as<sockaddr_in6>(result.storage_);
        address.sin6_family = AF_INET6;
        address.sin6_addr = v6;
        result.length_ = sizeof address;
    } else {
        return std::nullopt;
    }
    result.set_port(port);
    return result;
}

socket_address socket_address::from_path(std::string_view path) {
    socket_address result;
    auto& address = as<sockaddr_un>(result.storage_);
    const bool is_abstract = path.starts_with('\0');
    // An abstract name has no end but its length; behind a path there is a null character.
    const std::size_t longest = sizeof address.sun_path - (is_abstract ? 0 : 1);
    if (path.size() <= (is_abstract ? 1U : 0U)) throw std::invalid_argument("unix socket: the path is empty");
    if (!is_abstract && path.find('\0') != std::string_view::npos)
        throw std::invalid_argument("unix socket: the path has a null character");
    if (path.size() > longest)
        throw std::invalid_argument(fmt::format("unix socket: the path has {} bytes, {} are allowed: {}", path.size(),
                                                longest, path.substr(is_abstract ? 1 : 0)));
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    result.length_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + (is_abstract ? 0 : 1));
    return result;
}

socket_address socket_address::local_of(int descriptor) noexcept { return ask(descriptor, &::getsockname); }
socket_address socket_address::peer_of(int descriptor) noexcept { return ask(descriptor, &::getpeername); }

std::string socket_address::host() const {
    std::array<char, INET6_ADDRSTRLEN> text{};
    const void* address = nullptr;
    if (family() == AF_INET) address = &as<sockaddr_in>(storage_).sin_addr;
    if (family() == AF_INET6) address = &as<sockaddr_in6>(storage_).sin6_addr;
    if (!address || !::inet_ntop(family(), address, text.data(), text.size())) return "?";
    return text.data();
}

std::uint16_t socket_address::port() const noexcept {
    if (family() == AF_INET) return ntohs(as<sockaddr_in>(storage_).sin_port);
    if (family() == AF_INET6) return ntohs(as<sockaddr_in6>(storage_).sin6_port);
    return 0;
}

void socket_address::set_port(std::uint16_t port) noexcept {
    if (family() == AF_INET) as<sockaddr_in>(storage_).sin_port = htons(port);
    if (family() == AF_INET6) as<sockaddr_in6>(storage_).sin6_port = htons(port);
}

std::string socket_address::path() const {
    constexpr std::size_t before = offsetof(sockaddr_un, sun_path);
    if (!is_unix() || length_ <= before) return {};
    const std::string_view bytes(as<sockaddr_un>(storage_).sun_path, length_ - before);
    return std::string(bytes.starts_with('\0') ? bytes : bytes.substr(0, bytes.find('\0')));
}

bool socket_address::operator==(const socket_address& other) const noexcept {
    return length_ == other.length_ && std::memcmp(&storage_, &other.storage_, length_) == 0;
}

std::string socket_address::to_string() const {
    if (family() == AF_INET6) return fmt::format("[{}]:{}", host(), port());
    if (family() == AF_INET) return fmt::format("{}:{}", host(), port());
    std::string name = path();
    if (name.empty()) return is_unix() ? "a unix socket" : "?";
    if (name.front() == '\0') name.front() = '@';
    return name;
}

}  // namespace tercet::asyncio
