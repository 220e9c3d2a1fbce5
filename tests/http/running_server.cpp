#include <tercet/asyncio/run.hpp>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <http/running_server.hpp>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <system_error>
#include <utility>

namespace tercet::test {

running_server::running_server(std::function<void(http::server&)> set_up, http::server_options options) {
    std::future<std::uint16_t> started = started_.get_future();
    thread_ = std::thread([this, set_up = std::move(set_up), options] {
        try {
            cut_ = asyncio::run(serve(set_up, options));
        } catch (...) {
            started_.set_exception(std::current_exception());
        }
    });
    try {
        port_ = started.get();
    } catch (...) {
        thread_.join();
        throw;
    }
}

running_server::~running_server() {
    if (!thread_.joinable()) return;
    begin_close(http::seconds(0));
    finish_close();
}

asyncio::coro<std::size_t> running_server::serve(std::function<void(http::server&)> set_up,
                                                 http::server_options options) {
    http::server server(options);
    set_up(server);
    co_await server.start();
    loop_ = &asyncio::get_running_loop();
    server_ = &server;
    started_.set_value(server.port());
    co_await close_.wait();
    const std::size_t cut = co_await server.close(grace_);
    const std::lock_guard lock(calling_);
    co_return cut;
}

std::string running_server::url(std::string_view path) const {
    return fmt::format("http://127.0.0.1:{}{}", port_, path);
}

void running_server::call(std::function<void()> fn) {
    const std::lock_guard lock(calling_);
    loop_->call_soon_threadsafe(std::move(fn));
}

void running_server::begin_close(http::seconds grace) {
    if (std::exchange(is_close_begun_, true)) return;
    call([this, grace] {
        grace_ = grace;
        close_.set();
    });
}

std::size_t running_server::finish_close() {
    thread_.join();
    return cut_;
}

std::size_t running_server::connection_count() {
    std::promise<std::size_t> count;
    call([&] { count.set_value(server_->connection_count()); });
    return count.get_future().get();
}

raw_client::raw_client(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    if (fd_ < 0 || ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
        throw std::system_error(errno, std::generic_category(), "connect");
}

raw_client::~raw_client() { ::close(fd_); }

void raw_client::send(std::string_view bytes) {
    while (!bytes.empty()) {
        const auto sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent < 0) return;  // the server had enough
        bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
}

void raw_client::end() { ::shutdown(fd_, SHUT_WR); }

bool raw_client::fill() {
    char bytes[16384];
    const auto count = ::recv(fd_, bytes, sizeof bytes, 0);
    if (count <= 0) return false;
    received_.append(bytes, static_cast<std::size_t>(count));
    return true;
}

std::string raw_client::read_until(std::string_view end) {
    std::size_t place;
    while ((place = received_.find(end)) == received_.npos)
        if (!fill()) return std::exchange(received_, {});
    std::string taken = received_.substr(0, place + end.size());
    received_.erase(0, taken.size());
    return taken;
}

std::string raw_client::read_answer() {
    std::string answer = read_until("\r\n\r\n");
    constexpr std::string_view name = "Content-Length: ";
    const auto field = answer.find(name);
    if (field == answer.npos) return answer;
    std::size_t length = 0;
    std::from_chars(answer.data() + field + name.size(), answer.data() + answer.size(), length);
    while (received_.size() < length && fill()) {
    }
    answer += received_.substr(0, length);
    received_.erase(0, length);
    return answer;
}

std::string raw_client::read_all() {
    while (fill()) {
    }
    return std::exchange(received_, {});
}

}  // namespace tercet::test
