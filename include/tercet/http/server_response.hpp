#pragma once

#include <tercet/asyncio/coro.hpp>
#include <tercet/http/header.hpp>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace tercet::http {

/// Sends the body of an answer piece by piece.
class body_writer {
public:
    body_writer(const body_writer&) = delete;
    body_writer& operator=(const body_writer&) = delete;

    /// Sends `bytes` and waits while the client is slow. Throws `std::system_error` when the client has gone,
    /// `timeout_error` when it takes nothing for longer than the server's `write_timeout`. Cancel safety: a cancelled
    /// write may have sent a part, and the connection is closed.
    virtual asyncio::coro<void> write(std::string bytes) = 0;

protected:
    body_writer() = default;
    ~body_writer() = default;
};

/// What a handler answers.
struct server_response {
    int status = 200;
    /// `Content-Length`, `Transfer-Encoding`, `Connection` and `Date` are the server's own.
    std::vector<header> headers = {};
    std::string body = {};
    /// When set, called instead of sending `body`, with a length that nobody knows before: in chunks. The answer keeps
    /// the function until the coroutine has ended, so a lambda may use its captures in it. An exception cuts the
    /// connection, so that the client sees that the answer is not complete.
    std::function<asyncio::coro<void>(body_writer&)> stream = {};
};

/// A text as the body, in UTF-8.
server_response text_response(std::string text, int status = 200);

/// JSON, as the caller wrote it, as the body.
server_response json_response(std::string json, int status = 200);

/// The server's own way to say that it has no better answer: `{"status": 404, "error": "Not Found", "detail": ...}`.
server_response error_response(int status, std::string_view detail);

}  // namespace tercet::http
