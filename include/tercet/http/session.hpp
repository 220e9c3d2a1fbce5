#pragma once

#include <tercet/http/errors.hpp>
#include <tercet/http/request.hpp>
#include <tercet/http/response.hpp>

#include <memory>
#include <string>
#include <vector>

namespace tercet::http {

class transfer;

struct session_options {
    std::vector<header> headers = {};  ///< sent with every request that has no field of the same name
    std::string user_agent = "tercet";
};

/// The blocking client. Keeps its connections open between requests to the same server.
/// One thread at a time; a thread of its own, or an executor, makes requests side by side.
///
///     http::session session;
///     const http::response page = session.get("https://example.com", {.timeout = 5s});
class session {
public:
    /// Throws `std::invalid_argument` for a header or a user agent that cannot be sent.
    explicit session(session_options options = {});
    ~session();
    session(session&&) noexcept;
    session& operator=(session&&) noexcept;

    /// Sends `wanted` and waits for the whole answer, whatever its status. Throws `std::invalid_argument` for a
    /// malformed URL, method or header, `std::system_error` when no connection could be made, `timeout_error`, and
    /// `http::error` for every other failure.
    response fetch(request wanted);

    /// `fetch` with the method GET.
    response get(std::string url, request_options options = {});
    /// `fetch` with the method POST. There is no `Content-Type` unless `options` has one.
    response post(std::string url, std::string body, request_options options = {});

private:
    session_options options_;
    std::unique_ptr<transfer> transfer_;
    int owner_process_ = 0;
};

/// The same on a session of the calling thread, which lives as long as the thread. Thread-safe.
response fetch(request wanted);
response get(std::string url, request_options options = {});
response post(std::string url, std::string body, request_options options = {});

}  // namespace tercet::http
