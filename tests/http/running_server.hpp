#pragma once

#include <tercet/asyncio/event.hpp>
#include <tercet/asyncio/event_loop.hpp>
#include <tercet/http/server.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <future>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

namespace tercet::test {

/// A server on a loop on a thread of its own.
class running_server {
public:
    /// `set_up` is called on that thread before the server starts.
    explicit running_server(std::function<void(http::server&)> set_up, http::server_options options = {});
    running_server(const running_server&) = delete;
    running_server& operator=(const running_server&) = delete;
    ~running_server();

    std::uint16_t port() const { return port_; }
    std::string url(std::string_view path = "/") const;

    /// Calls `fn()` on the server's thread, without waiting for it.
    void call(std::function<void()> fn);
    /// Asks the server to close within `grace`, without waiting for it.
    void begin_close(http::seconds grace);
    /// Waits until it has closed; returns how many connections were cut.
    std::size_t finish_close();
    /// Connections that are open now.
    std::size_t connection_count();

private:
    asyncio::coro<std::size_t> serve(std::function<void(http::server&)> set_up, http::server_options options);

    std::promise<std::uint16_t> started_;
    std::mutex calling_;  // held over a call from outside, so that the loop does not end in the middle of it
    asyncio::event_loop* loop_ = nullptr;
    http::server* server_ = nullptr;
    asyncio::event close_;
    http::seconds grace_{0};
    bool is_close_begun_ = false;
    std::size_t cut_ = 0;
    std::uint16_t port_ = 0;
    std::thread thread_;
};

/// A blocking client of raw bytes.
class raw_client {
public:
    explicit raw_client(std::uint16_t port);
    raw_client(const raw_client&) = delete;
    raw_client& operator=(const raw_client&) = delete;
    ~raw_client();

    void send(std::string_view bytes);
    /// Says that nothing more will be sent.
    void end();
    /// The next answer with a Content-Length, or without a body; its head and body together.
    std::string read_answer();
    /// Everything up to the next `end`, with it.
    std::string read_until(std::string_view end);
    /// Everything until the server closes.
    std::string read_all();

private:
    bool fill();

    int fd_;
    std::string received_;
};

}  // namespace tercet::test
