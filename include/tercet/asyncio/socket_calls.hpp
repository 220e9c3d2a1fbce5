#pragma once

#include <tercet/asyncio/socket_address.hpp>

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tercet::asyncio {

class io_source;

/// What streams, servers and datagram sockets do with their sockets. Like the system calls, on sockets that do not
/// block: what fails gives -1 and `errno`, and `EINTR` does not come out. Here they go to the kernel; a backend may do
/// them in another way, for sources that were added with `trigger::on_demand`.
class socket_calls {
public:
    virtual ~socket_calls() = default;

    /// A descriptor of a stream socket.
    virtual int open(int family) noexcept;
    /// Of a datagram socket.
    virtual int open_datagram(int family) noexcept;
    virtual int set_option(int descriptor, int level, int name, int value) noexcept;
    virtual int bind(int descriptor, const socket_address& address) noexcept;
    virtual int listen(int descriptor, int backlog) noexcept;
    /// 0 also when it is under way: then the socket will be writable, and `connect_error` says how it went.
    virtual int connect(int descriptor, const socket_address& peer) noexcept;
    /// 0, why connecting failed, or `EINPROGRESS`.
    virtual int connect_error(io_source& source) noexcept;
    /// The descriptor of the next connection, and its peer.
    virtual int accept(io_source& listener, socket_address& peer) noexcept;
    /// 0 at the end of the stream.
    virtual ssize_t receive(io_source& source, std::span<char> into) noexcept;
    virtual ssize_t send(io_source& source, std::string_view data) noexcept;
    /// sendfile(2), which moves `offset`; it may raise SIGPIPE. `EINVAL` where the backend cannot.
    virtual ssize_t send_file(io_source& source, int file, off_t& offset, std::size_t count) noexcept;
    /// Takes the next message, and says who has sent it. `into` may be shorter: the rest is lost, and the size of the
    /// whole message is returned. With MSG_PEEK in `flags` the message stays.
    virtual ssize_t receive_from(io_source& source, std::span<char> into, int flags, socket_address& from) noexcept;
    /// Sends a message to `to`; with none, to the peer.
    virtual ssize_t send_to(io_source& source, std::string_view data, const socket_address& to) noexcept;
    /// Nothing will be sent any more; the peer sees the end of the stream.
    virtual void shut_down(io_source& source) noexcept;
    /// After the source was removed.
    virtual void close(int descriptor) noexcept;
    /// The same; the peer sees a reset.
    virtual void reset(int descriptor) noexcept;

    /// What a name stands for where the backend knows all names, of which there is at least one. None: ask the system.
    /// Throws `std::system_error`.
    virtual std::vector<socket_address> look_up(const std::string& host, std::uint16_t port, bool is_passive);

    /// Empty when it is unknown.
    virtual socket_address local_address(int descriptor) noexcept;
};

}  // namespace tercet::asyncio
