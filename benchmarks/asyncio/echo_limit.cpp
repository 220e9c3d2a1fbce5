// The least that echoes with epoll: level-triggered, one buffer for all, recv and send for each message.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <vector>

#include "../driver.hpp"
#include "echo.hpp"

namespace tercet::benchmarks {

namespace {

void accept_all(int listener, int poll) {
    for (int made; (made = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        const int on = 1;
        ::setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.fd = made;
        ::epoll_ctl(poll, EPOLL_CTL_ADD, made, &event);
    }
}

void serve_raw(const std::function<void(std::uint16_t)>& tell_port) {
    const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    if (::bind(listener, reinterpret_cast<const sockaddr*>(&address), length) != 0 || ::listen(listener, 1024) != 0 ||
        ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length) != 0)
        ::_exit(1);
    const int poll = ::epoll_create1(EPOLL_CLOEXEC);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = listener;
    ::epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
    tell_port(ntohs(address.sin_port));
    std::vector<char> buffer(65536);
    std::array<epoll_event, 256> events;
    for (;;) {
        const int count = ::epoll_wait(poll, events.data(), static_cast<int>(events.size()), -1);
        for (int i = 0; i < count; ++i) {
            const int ready = events[static_cast<std::size_t>(i)].data.fd;
            if (ready == listener) {
                accept_all(listener, poll);
                continue;
            }
            const ssize_t received = ::recv(ready, buffer.data(), buffer.size(), 0);
            if (received <= 0)
                ::close(ready);
            else if (::send(ready, buffer.data(), static_cast<std::size_t>(received), MSG_NOSIGNAL) != received)
                ::_exit(1);
        }
    }
}

const contender entered(limit, {TERCET_ECHO_ROWS(serve_raw)});

}  // namespace

}  // namespace tercet::benchmarks
