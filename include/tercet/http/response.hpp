#pragma once

#include <tercet/http/header.hpp>

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace tercet::http {

/// The answer to a request, complete. Plain data.
struct response {
    int status = 0;
    std::string reason = {};  ///< as the server worded it; empty in HTTP/2
    std::vector<header> headers = {};
    std::string body = {};               ///< decompressed
    std::string url = {};                ///< where the answer came from, after redirects
    std::chrono::nanoseconds elapsed{};  ///< from the call to the last byte

    /// The value of the first field called `name` in any case, null when there is none.
    const std::string* find_header(std::string_view name) const noexcept { return http::find_header(headers, name); }

    /// The status is below 400.
    bool ok() const noexcept { return status < 400; }

    /// Throws `http::error` unless `ok()`.
    void raise_for_status() const;
};

}  // namespace tercet::http
