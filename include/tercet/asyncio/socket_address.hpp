#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tercet::asyncio {

/// An Internet address with its port, or the path of a Unix socket. A value: any thread, each object by one at a time.
class socket_address {
public:
    socket_address() noexcept = default;
    socket_address(const sockaddr* address, socklen_t length) noexcept;

    /// "127.0.0.1" or "::1"; empty for anything else, as for a name.
    static std::optional<socket_address> from_numeric(std::string_view host, std::uint16_t port);
    /// A Unix socket in the file system, or, behind a null character, an abstract one. Throws `std::invalid_argument`
    /// when it is empty or longer than the system allows (107 bytes), or has a null character elsewhere.
    static socket_address from_path(std::string_view path);
    /// What `getsockname` and `getpeername` say; an empty address when they fail.
    static socket_address local_of(int descriptor) noexcept;
    /// The same for the other end.
    static socket_address peer_of(int descriptor) noexcept;

    /// AF_INET, AF_INET6, AF_UNIX; 0 when it is empty.
    int family() const noexcept { return storage_.ss_family; }
    bool is_unix() const noexcept { return family() == AF_UNIX; }
    /// "127.0.0.1"; "?" for anything but an Internet address.
    std::string host() const;
    /// 0 for anything but an Internet address.
    std::uint16_t port() const noexcept;
    /// Of an Internet address.
    void set_port(std::uint16_t port) noexcept;
    /// What `from_path` was given; empty for a Unix socket without a name, and for an Internet address.
    std::string path() const;
    /// "127.0.0.1:80", "[::1]:80", "/run/echo.socket", "@echo" for an abstract one.
    std::string to_string() const;

    const sockaddr* data() const noexcept { return reinterpret_cast<const sockaddr*>(&storage_); }
    socklen_t size() const noexcept { return length_; }

    bool operator==(const socket_address& other) const noexcept;

private:
    sockaddr_storage storage_{};
    socklen_t length_ = 0;
};

}  // namespace tercet::asyncio
