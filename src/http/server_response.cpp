#include <tercet/http/reason_phrase.hpp>
#include <tercet/http/server_response.hpp>

#include <fmt/format.h>

#include <utility>

namespace tercet::http {

namespace {

std::string json_string(std::string_view text) {
    std::string quoted = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            quoted += '\\';
            quoted += c;
        } else if (static_cast<unsigned char>(c) < 0x20) {
            quoted += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
        } else {
            quoted += c;
        }
    }
    return quoted + '"';
}

server_response response_of(const char* type, std::string body, int status) {
    return {.status = status, .headers = {{"Content-Type", type}}, .body = std::move(body)};
}

}  // namespace

server_response text_response(std::string text, int status) {
    return response_of("text/plain; charset=utf-8", std::move(text), status);
}

server_response json_response(std::string json, int status) {
    return response_of("application/json", std::move(json), status);
}

server_response error_response(int status, std::string_view detail) {
    return json_response(fmt::format("{{\"status\": {}, \"error\": {}, \"detail\": {}}}\n", status,
                                     json_string(reason_phrase(status)), json_string(detail)),
                         status);
}

}  // namespace tercet::http
