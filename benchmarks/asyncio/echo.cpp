#include "echo.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

namespace tercet::benchmarks {

namespace {

using namespace std::chrono_literals;

constexpr auto warm_up = 80ms;
constexpr auto measured = 400ms;

void require(bool is_right, const char* what) {
    if (!is_right) throw std::system_error(errno, std::system_category(), what);
}

/// Each connection takes a descriptor at each end.
void allow_many_descriptors() {
    rlimit allowed{};
    ::getrlimit(RLIMIT_NOFILE, &allowed);
    allowed.rlim_cur = std::min<rlim_t>(allowed.rlim_max, 8192);
    ::setrlimit(RLIMIT_NOFILE, &allowed);
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
            ::dup2(ends[1], STDOUT_FILENO);
            stay_on(0);
            serve();
            ::_exit(0);
        }
        ::close(ends[1]);
        std::string text;
        for (char next = 0; ::read(ends[0], &next, 1) == 1 && next != '\n';) text += next;
        ::close(ends[0]);
        if (text.empty()) throw std::runtime_error("the echo server did not start");
        port_ = static_cast<std::uint16_t>(std::stoul(text));
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
    client(std::uint16_t port, const echo_cell& cell)
        : poll_(::epoll_create1(EPOLL_CLOEXEC)),
          message_(cell.bytes, 'x'),
          into_(cell.bytes),
          connections_(most_descriptors) {
        for (int i = 0; i < cell.connections; ++i) {
            const int made = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
            require(made >= 0 && made < most_descriptors, "socket");
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
        for (const int each : sockets_) send_to(each, clock::now());
    }
    client(const client&) = delete;
    client& operator=(const client&) = delete;
    ~client() {
        for (const int each : sockets_) ::close(each);
        ::close(poll_);
    }

    /// Goes on until `end`. Looks for answers without sleeping; sleeps only where a message finds no room.
    void run_until(clock::time_point end) {
        latencies_.clear();
        const auto alarm = clock::now() + 5s;
        while (clock::now() < end)
            if (!look() && clock::now() > alarm) throw std::runtime_error("the echo server is silent");
        if (latencies_.empty()) throw std::runtime_error("the echo server is silent");
    }

    /// Waits for the answers that are under way, up to `limit`, without sending anything. A server that
    /// leaves some connections alone answers the others the sooner; where a connection has few answers, as with 1,000
    /// connections and large messages, the percentile shows that only if those are counted, too.
    void wait_for_rest(clock::duration limit) {
        is_sending_ = false;
        const std::size_t wanted = latencies_.size() + sockets_.size();
        for (const auto end = clock::now() + limit; latencies_.size() < wanted && clock::now() < end;) look();
        for (const int each : sockets_)
            if (const auto& on = connections_[static_cast<std::size_t>(each)]; on.is_asking)
                latencies_.push_back(nanoseconds(on.sent, clock::now()));
    }

    std::size_t answers() const { return latencies_.size(); }
    /// How long that part of the answers took at most, in us.
    double latency(double part) {
        const auto rank = static_cast<std::size_t>(part * static_cast<double>(latencies_.size() - 1));
        const auto place = latencies_.begin() + static_cast<std::ptrdiff_t>(rank);
        std::ranges::nth_element(latencies_, place);
        return *place / 1e3;
    }

private:
    static constexpr int most_descriptors = 2048;
    struct connection {
        std::size_t arrived = 0;
        clock::time_point sent{};
        bool is_asking = false;
    };

    /// False: nothing has arrived.
    bool look() {
        std::array<epoll_event, 128> events;
        const int count = ::epoll_wait(poll_, events.data(), static_cast<int>(events.size()), 0);
        for (int i = 0; i < count; ++i) receive_from(events[static_cast<std::size_t>(i)].data.fd);
        return count > 0;
    }

    void send_to(int socket, clock::time_point now) {
        connection& on = connections_[static_cast<std::size_t>(socket)];
        on.sent = now;
        on.is_asking = true;
        require(::send(socket, message_.data(), message_.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(message_.size()),
                "send");
    }
    void receive_from(int socket) {
        connection& on = connections_[static_cast<std::size_t>(socket)];
        const ssize_t count = ::recv(socket, into_.data(), message_.size() - on.arrived, MSG_DONTWAIT);
        require(count > 0, "recv");
        on.arrived += static_cast<std::size_t>(count);
        if (on.arrived < message_.size()) return;
        if (into_.front() != 'x') throw std::runtime_error("the echo server answers something else");
        on.arrived = 0;
        on.is_asking = false;
        const auto now = clock::now();
        latencies_.push_back(nanoseconds(on.sent, now));
        if (is_sending_) send_to(socket, now);
    }

    int poll_;
    std::string message_;
    std::vector<char> into_;
    std::vector<connection> connections_;
    std::vector<int> sockets_;
    std::vector<double> latencies_;
    bool is_sending_ = true;
};

}  // namespace

void tell_port(unsigned port) {
    std::printf("%u\n", port);
    std::fflush(stdout);
}

double measure_echo(echo_server serve, const echo_cell& cell, std::string_view row) {
    allow_many_descriptors();
    const server_process server(serve);
    stay_on(1);
    client load(server.port(), cell);
    load.run_until(clock::now() + warm_up);
    const double cpu_before = server.cpu_us();
    const auto begun = clock::now();
    load.run_until(begun + measured);
    const double took = nanoseconds(begun, clock::now()) / 1e3;
    const auto count = static_cast<double>(load.answers());
    const double cpu = (server.cpu_us() - cpu_before) / count;

    const double half = load.latency(0.5);
    load.wait_for_rest(1s);

    double asked_for = 0;
    const auto tell = [&](std::string_view id, double figure) {
        if (id == row)
            asked_for = figure;
        else
            also(id, figure);
    };
    tell(cell.request, took / count);
    tell(cell.cpu, cpu);
    tell(cell.slow, load.latency(0.99));
    if (&cell == &echo_cells[0]) tell(echo_latency, half);
    return asked_for;
}

}  // namespace tercet::benchmarks
