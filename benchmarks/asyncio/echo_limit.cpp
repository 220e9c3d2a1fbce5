// The least that echoes with epoll: level-triggered, one buffer for all, recv and send for each message. What does not
// go out at once is kept, and nothing is received meanwhile.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "echo.hpp"
#include "echo_listener.hpp"

namespace tercet::benchmarks {

namespace {

class raw_server {
public:
    [[noreturn]] void serve() {
        watch(listener_, EPOLL_CTL_ADD, EPOLLIN);
        tell_port(port_of(listener_));
        std::array<epoll_event, 256> events;
        for (;;) {
            const int count = ::epoll_wait(poll_, events.data(), static_cast<int>(events.size()), -1);
            for (int i = 0; i < count; ++i) {
                const epoll_event& event = events[static_cast<std::size_t>(i)];
                if (event.data.fd == listener_)
                    accept_all();
                else if (event.events & EPOLLOUT)
                    send_rest(event.data.fd);
                else
                    echo(event.data.fd);
            }
        }
    }

private:
    void watch(int descriptor, int how, std::uint32_t what) {
        epoll_event event{};
        event.events = what;
        event.data.fd = descriptor;
        ::epoll_ctl(poll_, how, descriptor, &event);
    }
    void accept_all() {
        for (int made; (made = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
            const int on = 1;
            ::setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            watch(made, EPOLL_CTL_ADD, EPOLLIN);
        }
    }
    void echo(int ready) {
        const ssize_t received = ::recv(ready, buffer_.data(), buffer_.size(), 0);
        if (received <= 0) {
            ::close(ready);
            return;
        }
        const ssize_t sent = ::send(ready, buffer_.data(), static_cast<std::size_t>(received), MSG_NOSIGNAL);
        if (sent == received) return;
        const std::size_t from = sent > 0 ? static_cast<std::size_t>(sent) : 0;
        unsent_[ready].assign(buffer_.data() + from, static_cast<std::size_t>(received) - from);
        watch(ready, EPOLL_CTL_MOD, EPOLLOUT);
    }
    void send_rest(int ready) {
        std::string& rest = unsent_[ready];
        const ssize_t sent = ::send(ready, rest.data(), rest.size(), MSG_NOSIGNAL);
        if (sent > 0) rest.erase(0, static_cast<std::size_t>(sent));
        if (rest.empty()) watch(ready, EPOLL_CTL_MOD, EPOLLIN);
    }

    int listener_ = listen_on_loopback(SOCK_NONBLOCK);
    int poll_ = ::epoll_create1(EPOLL_CLOEXEC);
    alignas(64) std::array<char, std::size_t{256} << 10> buffer_;  // see receive_buffer.cpp: malloc's is slow
    std::unordered_map<int, std::string> unsent_;
};

void serve_raw() { std::make_unique<raw_server>()->serve(); }

const contender entered(limit, echo_rows<serve_raw>());

}  // namespace

}  // namespace tercet::benchmarks
