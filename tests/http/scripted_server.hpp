#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace tercet::test {

/// A server of raw bytes on 127.0.0.1 that says exactly what a test wants, right or wrong. One connection at a time.
class scripted_server {
public:
    enum class then { keep_open, close, hang };
    struct answer {
        std::string bytes = {};
        then after = then::keep_open;
    };
    /// Called with the head of each request.
    using script = std::function<answer(const std::string& head)>;

    /// `greeting` is sent to every connection before its first request.
    explicit scripted_server(script what, std::string greeting = {});
    scripted_server(const scripted_server&) = delete;
    scripted_server& operator=(const scripted_server&) = delete;
    ~scripted_server();

    std::string url(std::string_view path = "/") const;
    int connection_count() const { return connection_count_; }
    std::vector<std::string> heads() const;

private:
    void run();
    void serve(int fd);

    script script_;
    std::string greeting_;
    int listener_ = -1;
    std::uint16_t port_ = 0;
    std::atomic<int> connection_count_{0};
    mutable std::mutex mutex_;
    bool is_closing_ = false;
    int connection_ = -1;
    std::vector<std::string> heads_;
    std::thread thread_;
};

/// An answer with a body and its length.
std::string plain_answer(std::string_view body, std::string_view status = "200 OK");

/// A port of 127.0.0.1 on which nobody listens.
std::uint16_t unused_port();

}  // namespace tercet::test
