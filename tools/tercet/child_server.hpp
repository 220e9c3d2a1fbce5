#pragma once

#include <sys/types.h>

#include <string>

namespace tercet::tools {

/// `tercet httpbin` in a process of its own, on a free port of the loopback interface. It ends with this object, and
/// with this process, however that ends: it watches a pipe whose other end is here.
class child_server {
public:
    /// Starts `program`, which is `tercet`, as a server and waits until it listens. Throws `std::runtime_error` when it
    /// does not within ten seconds.
    explicit child_server(const std::string& program = "/proc/self/exe");
    ~child_server();
    child_server(const child_server&) = delete;
    child_server& operator=(const child_server&) = delete;

    /// Where it listens: http://127.0.0.1:port
    const std::string& url() const noexcept { return url_; }

    /// Kills the server now. From any thread, but only once the object has been made and while it lives.
    void kill() noexcept;

private:
    pid_t pid_ = -1;
    int lifeline_ = -1;
    std::string url_;
};

}  // namespace tercet::tools
