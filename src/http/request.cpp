#include <tercet/http/request.hpp>

#include <utility>

namespace tercet::http {

request make_request(std::string method, std::string url, std::string body, request_options options) {
    return {.method = std::move(method),
            .url = std::move(url),
            .headers = std::move(options.headers),
            .body = std::move(body),
            .timeout = options.timeout,
            .max_redirects = options.max_redirects,
            .max_body_bytes = options.max_body_bytes};
}

}  // namespace tercet::http
