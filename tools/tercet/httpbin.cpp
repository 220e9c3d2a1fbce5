#include "httpbin.hpp"

#include <tercet/asyncio.hpp>
#include <tercet/http/server.hpp>

#include <fmt/format.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <functional>
#include <string>
#include <system_error>

#include "httpbin_app.hpp"
#include "terminal.hpp"

namespace tercet::tools {

namespace {

/// A descriptor that can be read when SIGINT or SIGTERM has come. Blocks both for the process.
class signal_descriptor {
public:
    signal_descriptor() {
        sigset_t signals;
        ::sigemptyset(&signals);
        ::sigaddset(&signals, SIGINT);
        ::sigaddset(&signals, SIGTERM);
        ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
        fd_ = ::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
        if (fd_ < 0) throw std::system_error(errno, std::generic_category(), "signalfd");
    }
    ~signal_descriptor() { ::close(fd_); }
    signal_descriptor(const signal_descriptor&) = delete;
    signal_descriptor& operator=(const signal_descriptor&) = delete;
    int fd() const noexcept { return fd_; }

private:
    int fd_;
};

/// Whether standard input has ended, after it was found to be readable.
bool input_has_ended() {
    std::array<char, 256> ignored{};
    const ssize_t count = ::read(STDIN_FILENO, ignored.data(), ignored.size());
    return count == 0 || (count < 0 && errno != EINTR && errno != EAGAIN);
}

/// Calls `on_input` whenever standard input can be read. False: it is nothing that could be waited for.
bool watch_input(asyncio::event_loop& loop, const std::function<void()>& on_input) {
    try {
        loop.add_reader(STDIN_FILENO, on_input);
        return true;
    } catch (const std::system_error& error) {
        if (error.code().value() != EPERM) throw;
        return false;
    }
}

asyncio::coro<void> serve(const httpbin_options& options, const signal_descriptor& signals) {
    http::server server;
    add_httpbin_routes(server);
    co_await server.start(options.host, options.port);
    const bool is_ipv6 = options.host.find(':') != std::string::npos;
    write_all(STDOUT_FILENO, fmt::format("httpbin: listening on http://{}:{}\n",
                                         is_ipv6 ? fmt::format("[{}]", options.host) : options.host, server.port()));

    asyncio::event has_to_stop;
    asyncio::event_loop& loop = asyncio::get_running_loop();
    const std::function<void()> on_signal = [&] { has_to_stop.set(); };
    const std::function<void()> on_input = [&] {
        if (!input_has_ended()) return;
        loop.remove_reader(STDIN_FILENO);
        has_to_stop.set();
    };
    loop.add_reader(signals.fd(), on_signal);
    if (options.until_eof && !watch_input(loop, on_input)) {  // a file, which can always be read
        while (!input_has_ended()) {
        }
        has_to_stop.set();
    }
    co_await has_to_stop.wait();
    loop.remove_reader(signals.fd());
    if (options.until_eof) loop.remove_reader(STDIN_FILENO);
    co_await server.close(std::chrono::seconds(1));
}

}  // namespace

int httpbin(const httpbin_options& options) {
    const signal_descriptor signals;
    asyncio::run(serve(options, signals));
    return 0;
}

}  // namespace tercet::tools
