#include <tercet/http/reason_phrase.hpp>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <http/response_head.hpp>

#include <algorithm>
#include <array>
#include <ctime>
#include <iterator>
#include <stdexcept>
#include <string_view>

namespace tercet::http {

namespace {

constexpr std::array<std::string_view, 4> fields_of_the_server{"Content-Length", "Transfer-Encoding", "Connection",
                                                               "Date"};

/// The time as RFC 9110 wants it; made once a second.
const std::string& date() {
    thread_local std::time_t second = -1;
    thread_local std::string text;
    const std::time_t now = std::time(nullptr);
    if (now != second) {
        text = fmt::format("{:%a, %d %b %Y %H:%M:%S} GMT", fmt::gmtime(now));
        second = now;
    }
    return text;
}

}  // namespace

body_framing framing_of(const server_response& answer, bool is_http_1_0) noexcept {
    if (answer.status == 204 || answer.status == 304) return body_framing::none;
    if (!answer.stream) return body_framing::length;
    return is_http_1_0 ? body_framing::until_close : body_framing::chunked;
}

void check_response(const server_response& answer) {
    if (answer.status < 200 || answer.status > 599)
        throw std::invalid_argument(fmt::format("server_response status {}: it must be 200 to 599", answer.status));
    if (answer.status == 205 && (!answer.body.empty() || answer.stream))
        throw std::invalid_argument("server_response status 205: it has no body");
    for (const header& field : answer.headers) {
        check_header(field);
        const auto is_field = [&field](std::string_view name) { return same_name(name, field.name); };
        if (std::ranges::any_of(fields_of_the_server, is_field))
            throw std::invalid_argument(
                fmt::format("server_response header {}: the server sets it itself", field.name));
    }
}

std::string response_head(const server_response& answer, body_framing framing, bool keeps_alive) {
    std::string head =
        fmt::format("HTTP/1.1 {} {}\r\nDate: {}\r\n", answer.status, reason_phrase(answer.status), date());
    for (const header& field : answer.headers)
        fmt::format_to(std::back_inserter(head), "{}: {}\r\n", field.name, field.value);
    if (framing == body_framing::length)
        fmt::format_to(std::back_inserter(head), "Content-Length: {}\r\n", answer.body.size());
    if (framing == body_framing::chunked) head += "Transfer-Encoding: chunked\r\n";
    head += keeps_alive ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n";
    return head;
}

}  // namespace tercet::http
