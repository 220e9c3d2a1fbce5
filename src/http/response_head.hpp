#pragma once

#include <tercet/http/server_response.hpp>

#include <string>

namespace tercet::http {

/// How the client learns where the body of an answer ends.
enum class body_framing : unsigned char { none, length, chunked, until_close };

/// The framing of `answer` to a client of HTTP/1.1, or 1.0, which does not know chunks.
body_framing framing_of(const server_response& answer, bool is_http_1_0) noexcept;

/// Throws `std::invalid_argument` when the handler made an answer that cannot be sent.
void check_response(const server_response& answer);

/// The status line and the headers of `answer`, which was checked.
std::string response_head(const server_response& answer, body_framing framing, bool keeps_alive);

}  // namespace tercet::http
