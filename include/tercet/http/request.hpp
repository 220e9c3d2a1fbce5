#pragma once

#include <tercet/http/header.hpp>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace tercet::http {

/// A length of time in seconds; every unit of `std::chrono` converts to it.
using seconds = std::chrono::duration<double>;

inline constexpr seconds default_timeout{300};
inline constexpr std::uint32_t default_max_redirects = 10;
inline constexpr std::uint64_t default_max_body_bytes = 64U << 20U;

/// What a request has beside its method, URL and body.
struct request_options {
    /// Replace the session's fields of the same name. `Content-Length` and `Transfer-Encoding` are the client's own.
    std::vector<header> headers = {};
    /// From the call to the last byte of the answer, redirects and the wait for a connection included. Infinite is
    /// allowed, zero fails at once.
    seconds timeout = default_timeout;
    /// How many redirects are followed before the fetch fails; zero returns the redirect itself. 303 is followed with
    /// GET, and 301 and 302 of a POST are; everything else keeps its method and body.
    std::uint32_t max_redirects = default_max_redirects;
    /// An answer with a longer body, decompressed, fails.
    std::uint64_t max_body_bytes = default_max_body_bytes;
};

/// A request that a client sends. Plain data: it may be copied, compared field by field, and sent to another process.
struct request {
    std::string method = "GET";
    std::string url = {};  ///< http or https, percent-encoded
    std::vector<header> headers = {};
    std::string body = {};
    seconds timeout = default_timeout;
    std::uint32_t max_redirects = default_max_redirects;
    std::uint64_t max_body_bytes = default_max_body_bytes;
};

/// A request of `method` for `url` with `options`.
request make_request(std::string method, std::string url, std::string body, request_options options);

}  // namespace tercet::http
