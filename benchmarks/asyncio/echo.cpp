#include "echo.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <ctime>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

namespace tercet::benchmarks {

namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

constexpr auto warm_up = 80ms;
constexpr auto measured = 400ms;

void require(bool is_right, const char* what) {
    if (!is_right) throw std::system_error(errno, std::system_category(), what);
}

void stay_on(unsigned core) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(core, &one);
    ::sched_setaffinity(0, sizeof one, &one);  // where there is one core both share it
}

/// A server in a child process, until the object goes.
class server_process {
public:
    explicit server_process(echo_server serve) {
        std::array<int, 2> ends{};
        require(::pipe(ends.data()) == 0, "pipe");
        process_ = ::fork();
        require(process_ >= 0, "fork");
        if (process_ == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            stay_on(0);
            serve([&](std::uint16_t port) {
                if (::write(ends[1], &port, sizeof port) != sizeof port) ::_exit(1);
            });
            ::_exit(0);
        }
        ::close(ends[1]);
        const bool is_told = ::read(ends[0], &port_, sizeof port_) == sizeof port_;
        ::close(ends[0]);
        require(is_told, "the echo server did not start");
    }
    server_process(const server_process&) = delete;
    server_process& operator=(const server_process&) = delete;
    ~server_process() {
        ::kill(process_, SIGKILL);
        ::waitpid(process_, nullptr, 0);
    }

    std::uint16_t port() const noexcept { return port_; }
    double cpu_us() const {
        clockid_t id{};
        require((errno = ::clock_getcpuclockid(process_, &id)) == 0, "clock_getcpuclockid");
        timespec used{};
        require(::clock_gettime(id, &used) == 0, "clock_gettime");
        return static_cast<double>(used.tv_sec) * 1e6 + static_cast<double>(used.tv_nsec) / 1e3;
    }

private:
    pid_t process_ = -1;
    std::uint16_t port_ = 0;
};

class client {
public:
    client(std::uint16_t port, std::size_t bytes, int connections)
        : poll_(::epoll_create1(EPOLL_CLOEXEC)), message_(bytes, 'x'), into_(bytes), arrived_(2048) {
        for (int i = 0; i < connections; ++i) {
            const int made = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
            require(made >= 0 && made < 2048, "socket");
            sockaddr_in address{};
            address.sin_family = AF_INET;
            address.sin_port = htons(port);
            address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
            require(::connect(made, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0, "connect");
            const int on = 1;
            ::setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            epoll_event event{};
            event.events = EPOLLIN;
            event.data.fd = made;
            require(::epoll_ctl(poll_, EPOLL_CTL_ADD, made, &event) == 0, "epoll_ctl");
            sockets_.push_back(made);
        }
        for (const int each : sockets_) send_to(each);
    }
    client(const client&) = delete;
    client& operator=(const client&) = delete;
    ~client() {
        for (const int each : sockets_) ::close(each);
        ::close(poll_);
    }

    /// Goes on until `end`; returns how many answers came. Never sleeps.
    long run_until(clock::time_point end) {
        long answers = 0;
        std::array<epoll_event, 128> events;
        const auto alarm = clock::now() + 5s;
        while (clock::now() < end) {
            const int count = ::epoll_wait(poll_, events.data(), static_cast<int>(events.size()), 0);
            if (count == 0 && clock::now() > alarm) throw std::runtime_error("the echo server is silent");
            for (int i = 0; i < count; ++i) answers += receive_from(events[static_cast<std::size_t>(i)].data.fd);
        }
        return answers;
    }

private:
    void send_to(int socket) {
        require(::send(socket, message_.data(), message_.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(message_.size()),
                "send");
    }
    long receive_from(int socket) {
        const ssize_t count = ::recv(socket, into_.data(), into_.size(), MSG_DONTWAIT);
        require(count > 0, "recv");
        std::size_t& arrived = arrived_[static_cast<std::size_t>(socket)];
        arrived += static_cast<std::size_t>(count);
        if (arrived < message_.size()) return 0;
        if (into_.front() != 'x') throw std::runtime_error("the echo server answers something else");
        arrived = 0;
        send_to(socket);
        return 1;
    }

    int poll_;
    std::string message_;
    std::vector<char> into_;
    std::vector<std::size_t> arrived_;
    std::vector<int> sockets_;
};

}  // namespace

echo_figures measure_echo(echo_server serve, std::size_t bytes, int connections) {
    const server_process server(serve);
    stay_on(1);
    client load(server.port(), bytes, connections);
    load.run_until(clock::now() + warm_up);
    const double cpu_before = server.cpu_us();
    const auto begun = clock::now();
    const long answers = load.run_until(begun + measured);
    const std::chrono::duration<double, std::micro> took = clock::now() - begun;
    if (answers == 0) throw std::runtime_error("the echo server is silent");
    const auto count = static_cast<double>(answers);
    return {took.count() / count, (server.cpu_us() - cpu_before) / count};
}

}  // namespace tercet::benchmarks
