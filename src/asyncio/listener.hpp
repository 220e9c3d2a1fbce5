#pragma once

#include <tercet/asyncio/server.hpp>
#include <tercet/asyncio/socket_address.hpp>
#include <tercet/asyncio/watched_socket.hpp>

#include <sys/stat.h>

#include <list>
#include <memory>
#include <utility>
#include <vector>

namespace tercet::asyncio {

/// A socket that listens. One with a file in the file system removes it when it closes, unless another has taken its
/// place.
class listener final : public watched_socket {
public:
    /// Listens on `address`. Throws `std::system_error`: "listen 127.0.0.1:80: Permission denied".
    listener(event_loop& loop, const socket_address& address, const server_options& options);
    ~listener() override { close(); }

    void close() noexcept;
    /// What the system says where it listens.
    const socket_address& address() const noexcept { return address_; }

private:
    listener(event_loop& loop, const socket_address& address);

    void set_options(const server_options& options);
    [[noreturn]] void throw_error(int error) const;

    socket_address address_;
    struct stat file_ {};  // what was at the path when it was bound
    bool has_file_ = false;
};

/// One for each of `addresses`, all at the same port; the machine may lack one of their families. Throws as `listener`.
std::list<listener> listen_on_all(const std::vector<socket_address>& addresses, const server_options& options);

/// Waits for a connection.
class accept_operation final : public io_operation {
public:
    explicit accept_operation(watched_socket& listening) noexcept
        : io_operation(listening, watched_socket::direction::reading), listener_(listening) {}
    accept_operation(const accept_operation&) = delete;
    accept_operation& operator=(const accept_operation&) = delete;
    ~accept_operation();

    /// 0, or why nothing was accepted. Throws `cancelled_error`.
    int await_resume() const {
        throw_if_cancelled();
        return error();
    }
    /// The descriptor of the connection, which is the caller's from now on.
    int take() noexcept { return std::exchange(accepted_, -1); }
    const socket_address& peer() const noexcept { return peer_; }

private:
    bool attempt() noexcept override;

    watched_socket& listener_;
    int accepted_ = -1;
    socket_address peer_;
};

}  // namespace tercet::asyncio
