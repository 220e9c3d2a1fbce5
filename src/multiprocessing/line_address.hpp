#pragma once

#include <tercet/multiprocessing/unique_fd.hpp>

#include <sys/socket.h>

#include <string>
#include <vector>

namespace tercet::multiprocessing {

/// Where a listener listens, in the kernel's form.
struct line_address {
    sockaddr_storage storage{};
    socklen_t size = 0;

    int family() const noexcept { return storage.ss_family; }
    const sockaddr* data() const noexcept { return reinterpret_cast<const sockaddr*>(&storage); }
};

/// Whether the text means a Unix socket: a path, or "@name".
bool is_unix_address(const std::string& text) noexcept;

/// All that `text` means, more than one for names of hosts. Throws `std::invalid_argument` for what is no address,
/// `std::system_error` for a host that is not known.
std::vector<line_address> parse_address(const std::string& text);

/// The text for what a TCP socket is bound to.
std::string address_of(int socket);

/// A stream socket, non-blocking and closed on exec, none in the place of a standard stream.
unique_fd open_socket(int family);

/// Whether the other end of a Unix socket belongs to a process of the user that this one runs as. Names of abstract
/// sockets have no permissions.
bool is_of_this_user(int socket) noexcept;

/// With a name nobody can guess.
std::string random_abstract_address();

}  // namespace tercet::multiprocessing
