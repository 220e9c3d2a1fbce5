// Beast's parser checks the grammar, the lengths and that Content-Length and Transfer-Encoding do not meet. Left to us,
// because a proxy in front may read them differently than we do and take the rest of one request for the next:
//
//   Host               HTTP/1.1 without one, or with two, is refused
//   Transfer-Encoding  anything but one "chunked" is refused; Beast would take such a request for one without a body
//   trailers           Beast adds them to the fields; the head is copied before they come, so they are dropped
//   unread bytes       Beast wants a chunk's head in one piece and sets it no limit; what it leaves unread is bounded
//
// The only file that includes Beast: it is heavy.

#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <fmt/format.h>
#include <http/request_parser.hpp>
#include <http/target.hpp>

#include <optional>
#include <utility>

namespace tercet::http {

namespace beast = boost::beast;
namespace asio = boost::asio;

struct request_parser::state {
    std::optional<beast::http::request_parser<beast::http::string_body>> parser;
    server_request request;
    std::string raw_path;
    bool has_head = false;
    bool expects_continue = false;
};

namespace {

using beast_error = beast::http::error;

std::string text_of(beast::string_view text) { return {text.data(), text.size()}; }

[[noreturn]] void refuse(const boost::system::error_code& code, std::uint32_t max_header_bytes,
                         std::uint64_t max_body_bytes) {
    if (code == beast_error::header_limit)
        throw bad_request(431,
                          fmt::format("the request line and the headers are longer than {} bytes", max_header_bytes));
    if (code == beast_error::body_limit || code == beast_error::buffer_overflow)
        throw bad_request(413, fmt::format("the body is longer than {} bytes", max_body_bytes));
    throw bad_request(400, fmt::format("malformed request: {}", code.message()));
}

template <class Fields>
void check_framing(const Fields& fields) {
    const auto count = [&fields](beast::http::field name) {
        const auto [first, last] = fields.equal_range(name);
        return std::distance(first, last);
    };
    const auto hosts = count(beast::http::field::host);
    if (hosts > 1 || (hosts == 0 && fields.version() == 11))
        throw bad_request(400, "malformed request: HTTP/1.1 needs one Host header");
    if (const auto encodings = count(beast::http::field::transfer_encoding); encodings > 0) {
        if (fields.version() == 10) throw bad_request(400, "malformed request: HTTP/1.0 has no Transfer-Encoding");
        if (encodings > 1 || !beast::iequals(fields[beast::http::field::transfer_encoding], "chunked"))
            throw bad_request(501, "the only Transfer-Encoding understood here is chunked");
    }
}

}  // namespace

request_parser::request_parser(std::uint32_t max_header_bytes, std::uint64_t max_body_bytes)
    : state_(std::make_unique<state>()), max_header_bytes_(max_header_bytes), max_body_bytes_(max_body_bytes) {
    reset();
}

request_parser::~request_parser() = default;

void request_parser::reset() {
    state_->parser.emplace();
    state_->parser->header_limit(max_header_bytes_);
    state_->parser->body_limit(max_body_bytes_);
    state_->request = {};
    state_->has_head = false;
    state_->expects_continue = false;
}

request_parser::progress request_parser::parse(std::string_view& received) {
    for (;;) {
        if (state_->parser->is_header_done() && !state_->has_head) {
            state_->has_head = true;
            take_head();
            return progress::has_head;
        }
        if (state_->parser->is_done()) return progress::is_complete;
        if (!advance(received)) return progress::needs_more;
    }
}

bool request_parser::advance(std::string_view& received) {
    if (received.empty()) return false;
    boost::system::error_code code;
    received.remove_prefix(state_->parser->put(asio::const_buffer(received.data(), received.size()), code));
    if (!code) return true;
    if (code != beast_error::need_more) refuse(code, max_header_bytes_, max_body_bytes_);
    if (received.size() > max_header_bytes_) throw bad_request(400, "malformed request: endless chunk header");
    return false;
}

void request_parser::take_head() {
    const auto& message = state_->parser->get();
    check_framing(message);
    server_request& request = state_->request;
    request.method = text_of(message.method_string());
    request.target = text_of(message.target());
    for (const auto& field : message)
        request.headers.push_back({.name = text_of(field.name_string()), .value = text_of(field.value())});
    state_->expects_continue =
        message.version() == 11 && beast::iequals(message[beast::http::field::expect], "100-continue");
    auto [path, query] = split_target(request.target);
    request.path = percent_decoded(path);
    request.query = parse_query(query);
    state_->raw_path = std::move(path);
}

bool request_parser::is_head_complete() const noexcept { return state_->has_head; }

bool request_parser::is_complete() const noexcept { return state_->parser->is_done(); }

bool request_parser::keeps_alive() const { return state_->has_head && state_->parser->keep_alive(); }

bool request_parser::is_http_1_0() const { return state_->has_head && state_->parser->get().version() == 10; }

bool request_parser::expects_continue() const { return state_->expects_continue && !state_->parser->is_done(); }

const std::string& request_parser::method() const { return state_->request.method; }

const std::string& request_parser::raw_path() const { return state_->raw_path; }

server_request request_parser::take() {
    state_->request.body = std::move(state_->parser->get().body());
    return std::move(state_->request);
}

}  // namespace tercet::http
