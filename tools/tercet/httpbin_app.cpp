#include "httpbin_app.hpp"

#include <tercet/asyncio/coro.hpp>
#include <tercet/asyncio/sleep.hpp>
#include <tercet/http/reason_phrase.hpp>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>

namespace tercet::tools {

namespace {

using json = nlohmann::json;
using asyncio::coro;
using http::server_request;
using http::server_response;

constexpr double max_delay = 10;
constexpr double max_drip_time = 60;
constexpr std::uint64_t max_bytes = 16U << 20U;
constexpr std::uint64_t max_drip_bytes = 10U << 20U;
constexpr std::uint64_t max_drips = 1000;
constexpr int max_json_depth = 100;

/// Bytes that are no UTF-8 are shown as U+FFFD.
std::string written(const json& value) { return value.dump(2, ' ', false, json::error_handler_t::replace) + '\n'; }

server_response answer(const json& value) { return http::json_response(written(value)); }

/// A name that occurs once has a string, more often a list.
json object_of(const std::vector<http::parameter>& parameters) {
    json object = json::object();
    for (const auto& [name, value] : parameters) {
        json& place = object[name];
        if (place.is_null())
            place = value;
        else if (place.is_string())
            place = json::array({place, value});
        else
            place.push_back(value);
    }
    return object;
}

json headers_of(const server_request& request) {
    json object = json::object();
    for (const auto& [name, value] : request.headers) {
        json& place = object[name];
        place = place.is_null() ? value : place.get<std::string>() + "," + value;
    }
    return object;
}

json description_of(const server_request& request) {
    const std::string* const host = request.find_header("Host");
    return {{"args", object_of(request.query)},
            {"headers", headers_of(request)},
            {"origin", request.client.substr(0, request.client.rfind(':'))},
            {"url", fmt::format("http://{}{}", host ? *host : "localhost", request.target)}};
}

/// `text` as a number between `least` and `most`; nothing when it is none.
template <class Number>
std::optional<Number> number_in(std::string_view text, Number least, Number most) {
    Number value{};
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
    // Written so that not-a-number is refused.
    if (code != std::errc{} || end != text.data() + text.size() || !(value >= least && value <= most))
        return std::nullopt;
    return value;
}

template <class Number>
std::optional<Number> query_number(const server_request& request, std::string_view name, Number otherwise, Number least,
                                   Number most) {
    const std::string* const text = request.find_query(name);
    return text ? number_in(*text, least, most) : otherwise;
}

coro<server_response> index(server_request) {
    co_return answer({{"routes",
                       {"GET /get", "GET /headers", "POST /post", "GET /delay/{seconds}", "ANY /status/{code}",
                        "GET /bytes/{n}?seed=", "GET /drip?numbytes=&duration=&delay=&code="}}});
}

coro<server_response> get(server_request request) { co_return answer(description_of(request)); }

coro<server_response> headers(server_request request) { co_return answer({{"headers", headers_of(request)}}); }

/// `text` read as JSON; null when it is none, or nested so deeply that its indentation would be most of an answer.
json parsed(const std::string& text) {
    bool is_too_deep = false;
    json value = json::parse(
        text,
        [&](int depth, json::parse_event_t event, json&) {
            using enum json::parse_event_t;
            if (depth >= max_json_depth && (event == array_start || event == object_start)) is_too_deep = true;
            return !is_too_deep;
        },
        false);
    return is_too_deep || value.is_discarded() ? json(nullptr) : value;
}

coro<server_response> post(server_request request) {
    json described = description_of(request);
    const std::string* const type = request.find_header("Content-Type");
    const bool is_form = type && type->starts_with("application/x-www-form-urlencoded");
    described["form"] = is_form ? object_of(http::parse_query(request.body)) : json::object();
    described["data"] = is_form ? "" : request.body;
    described["json"] = parsed(request.body);
    co_return answer(described);
}

coro<server_response> delay(server_request request) {
    const auto wanted = number_in(request.parameter_named("seconds"), 0.0, 1e9);
    if (!wanted) co_return http::error_response(400, "the delay is a number of seconds, zero or more");
    co_await asyncio::sleep(http::seconds(std::min(*wanted, max_delay)));
    co_return answer(description_of(request));
}

coro<server_response> status(server_request request) {
    const auto code = number_in(request.parameter_named("code"), 200, 599);
    if (!code) co_return http::error_response(400, "the status is a number from 200 to 599");
    server_response result =
        http::json_response(written({{"status", *code}, {"reason", http::reason_phrase(*code)}}), *code);
    if (*code >= 300 && *code < 400 && *code != 304) result.headers.push_back({"Location", "/get"});
    co_return result;
}

coro<server_response> bytes(server_request request) {
    const auto count = number_in<std::uint64_t>(request.parameter_named("n"), 0, max_bytes);
    if (!count)
        co_return http::error_response(400, fmt::format("the number of bytes is a number from 0 to {}", max_bytes));
    const auto seed = query_number<std::uint64_t>(request, "seed", std::random_device{}(), 0, UINT64_MAX);
    if (!seed) co_return http::error_response(400, "the seed is a number, zero or more");
    std::mt19937_64 random(*seed);
    std::string body(*count, '\0');
    for (std::size_t i = 0; i < body.size(); i += 8) {
        std::uint64_t word = random();
        for (std::size_t j = i; j < std::min(i + 8, body.size()); ++j, word >>= 8U)
            body[j] = static_cast<char>(word & 0xFFU);
    }
    co_return server_response{.headers = {{"Content-Type", "application/octet-stream"}}, .body = std::move(body)};
}

coro<void> send_drips(http::body_writer& writer, std::uint64_t count, http::seconds duration) {
    const std::uint64_t drips = std::min(count, max_drips);
    for (std::uint64_t i = 0; i < drips; ++i) {
        // The first of the rest when it does not divide: together they are `count`.
        const std::uint64_t size = count / drips + (i < count % drips ? 1 : 0);
        co_await writer.write(std::string(size, '*'));
        co_await asyncio::sleep(duration / static_cast<double>(drips));
    }
}

coro<server_response> drip(server_request request) {
    const auto count = query_number<std::uint64_t>(request, "numbytes", 10, 1, max_drip_bytes);
    const auto duration = query_number<double>(request, "duration", 2, 0, max_drip_time);
    const auto wait = query_number<double>(request, "delay", 0, 0, max_delay);
    const auto code = query_number<int>(request, "code", 200, 200, 599);
    if (!count || !duration || !wait || !code)
        co_return http::error_response(
            400, fmt::format("numbytes is 1 to {}, duration 0 to {} s, delay 0 to {} s, code 200 to 599",
                             max_drip_bytes, max_drip_time, max_delay));
    co_await asyncio::sleep(http::seconds(*wait));
    server_response result{.status = *code, .headers = {{"Content-Type", "application/octet-stream"}}};
    result.stream = [count = *count, duration = http::seconds(*duration)](http::body_writer& writer) {
        return send_drips(writer, count, duration);
    };
    co_return result;
}

}  // namespace

void add_httpbin_routes(http::server& server) {
    server.route("GET", "/", index);
    server.route("GET", "/get", get);
    server.route("GET", "/headers", headers);
    server.route("POST", "/post", post);
    server.route("GET", "/delay/{seconds}", delay);
    for (const char* method : {"GET", "POST", "PUT", "PATCH", "DELETE"}) server.route(method, "/status/{code}", status);
    server.route("GET", "/bytes/{n}", bytes);
    server.route("GET", "/drip", drip);
}

}  // namespace tercet::tools
