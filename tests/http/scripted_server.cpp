#include <arpa/inet.h>
#include <fmt/format.h>
#include <http/scripted_server.hpp>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace tercet::test {

namespace {

struct bound_socket {
    int fd;
    std::uint16_t port;
};

bound_socket bind_any_port() {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    if (fd < 0 || ::bind(fd, reinterpret_cast<sockaddr*>(&address), length) != 0 ||
        ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0)
        throw std::system_error(errno, std::generic_category(), "bind 127.0.0.1");
    return {fd, ntohs(address.sin_port)};
}

void send_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const auto sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent <= 0) return;  // the client had enough
        bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
}

/// Reads until the peer closes.
void drain(int fd) {
    char bytes[4096];
    while (::recv(fd, bytes, sizeof bytes, 0) > 0) {
    }
}

}  // namespace

scripted_server::scripted_server(script what, std::string greeting)
    : script_(std::move(what)), greeting_(std::move(greeting)) {
    const auto [fd, port] = bind_any_port();
    listener_ = fd;
    port_ = port;
    if (::listen(listener_, 128) != 0) throw std::system_error(errno, std::generic_category(), "listen");
    thread_ = std::thread([this] { run(); });
}

scripted_server::~scripted_server() {
    {
        const std::lock_guard lock(mutex_);
        is_closing_ = true;
        if (connection_ >= 0) ::shutdown(connection_, SHUT_RDWR);
    }
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
}

std::string scripted_server::url(std::string_view path) const {
    return fmt::format("http://127.0.0.1:{}{}", port_, path);
}

std::vector<std::string> scripted_server::heads() const {
    const std::lock_guard lock(mutex_);
    return heads_;
}

void scripted_server::run() {
    for (;;) {
        const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
        if (fd < 0) return;
        ++connection_count_;
        {
            const std::lock_guard lock(mutex_);
            if (is_closing_) {
                ::close(fd);
                return;
            }
            connection_ = fd;
        }
        serve(fd);
        const std::lock_guard lock(mutex_);
        connection_ = -1;
        ::close(fd);
    }
}

void scripted_server::serve(int fd) {
    send_all(fd, greeting_);
    std::string received;
    for (;;) {
        std::size_t end;
        while ((end = received.find("\r\n\r\n")) == received.npos) {
            char bytes[4096];
            const auto count = ::recv(fd, bytes, sizeof bytes, 0);
            if (count <= 0) return;
            received.append(bytes, static_cast<std::size_t>(count));
        }
        const std::string head = received.substr(0, end + 4);
        received.erase(0, end + 4);
        {
            const std::lock_guard lock(mutex_);
            heads_.push_back(head);
        }
        const answer said = script_(head);
        send_all(fd, said.bytes);
        if (said.after == then::close) return;
        if (said.after == then::hang) return drain(fd);
    }
}

std::string plain_answer(std::string_view body, std::string_view status) {
    return fmt::format("HTTP/1.1 {}\r\nContent-Length: {}\r\n\r\n{}", status, body.size(), body);
}

std::uint16_t unused_port() {
    const auto [fd, port] = bind_any_port();
    ::close(fd);
    return port;
}

}  // namespace tercet::test
