#include <tercet/multiprocessing/pipe.hpp>

#include <sys/socket.h>

#include "socket.hpp"

namespace tercet::multiprocessing {

// A socket pair also for one direction, since file descriptors do not travel through a pipe(2).
std::pair<connection, connection> pipe(bool duplex) {
    auto [first, second] = make_socket_pair();
    if (!duplex) {
        ::shutdown(first.get(), SHUT_WR);
        ::shutdown(second.get(), SHUT_RD);
    }
    return {connection(std::move(first), true, duplex), connection(std::move(second), duplex, true)};
}

}  // namespace tercet::multiprocessing
