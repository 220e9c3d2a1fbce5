// A connection goes round:
//
//   idle --bytes--> head --> route --> body --> handler --> answer --keep-alive--> idle
//     |               |                 |          |           |
//     '--- time, end, or the server closes: the connection closes --- a limit: error answer, then it closes
//
// Requests that came together (pipelining) wait in `received_`; one is served after the other, so answers are in order.
//
// Two scopes let the server in: `idle_` while nothing is lost by closing, and `whole_` for everything. Cancelling them
// only marks the task; it unwinds in its own turn.
//
// When we close after an answer, the client may still be sending. Closing then makes the kernel send a reset, which can
// overtake the answer; so we end our side and read for a moment until the client has ended its own.

#include <tercet/asyncio/timeout.hpp>
#include <tercet/futures/errors.hpp>

#include <fmt/format.h>
#include <http/server_connection.hpp>

#include <exception>
#include <span>
#include <system_error>
#include <utility>

namespace tercet::http {

namespace {

constexpr std::size_t small_read = 4U << 10U;        // waits in every idle connection
constexpr std::size_t large_read = 64U << 10U;       // for bodies
constexpr std::size_t max_joined_body = 64U << 10U;  // sent with the head in one write
constexpr std::size_t max_write = 64U << 10U;        // for each of them the client has the whole write_timeout
constexpr seconds goodbye_time{1};
constexpr std::size_t max_goodbye_bytes = 1U << 20U;

}  // namespace

/// A scope that others may cancel as long as it is there.
class server_connection::open_scope {
public:
    explicit open_scope(asyncio::cancel_scope*& place) : place_(place) { place_ = &scope_; }
    open_scope(const open_scope&) = delete;
    open_scope& operator=(const open_scope&) = delete;
    ~open_scope() { place_ = nullptr; }

    /// It was cancelled, and nothing around it: the cancellation ends here.
    bool is_ours() const noexcept { return scope_.cancel_called() && !scope_.is_cancelled_outside(); }

private:
    asyncio::cancel_scope scope_;
    asyncio::cancel_scope*& place_;
};

/// The body of one answer, in chunks, or as it is for HTTP/1.0.
class server_connection::chunk_writer final : public body_writer {
public:
    chunk_writer(server_connection& connection, bool is_chunked) noexcept
        : connection_(connection), is_chunked_(is_chunked) {}

    asyncio::coro<void> write(std::string bytes) override {
        if (bytes.empty()) co_return;  // an empty chunk would be the end
        if (is_chunked_) bytes = fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes);
        try {
            co_return co_await connection_.send_bytes(bytes);
        } catch (const cancelled_error&) {
            throw;
        } catch (...) {
            has_failed_ = true;
            throw;
        }
    }

    /// The error of the handler is not its own: the client has gone.
    bool has_failed() const noexcept { return has_failed_; }

private:
    server_connection& connection_;
    bool is_chunked_;
    bool has_failed_ = false;
};

server_connection::server_connection(std::shared_ptr<server_state> server, asyncio::stream_reader& reader,
                                     asyncio::stream_writer& writer)
    : server_(std::move(server)),
      reader_(reader),
      writer_(writer),
      parser_(server_->options.max_header_bytes, server_->options.max_body_bytes) {
    server_->add(node_);
}

server_connection::~server_connection() {
    server_->remove(node_, place_);
    if (is_admitted_) server_->dismiss();
}

void server_connection::send_home() noexcept {
    if (idle_) idle_->cancel();
}

void server_connection::cut() noexcept {
    if (whole_) whole_->cancel();
}

asyncio::coro<void> server_connection::run() {
    const open_scope whole(whole_);
    try {
        co_await serve();
        co_await close();
    } catch (const cancelled_error&) {
        if (!whole.is_ours()) throw;
        writer_.abort();
    }
}

asyncio::coro<void> server_connection::serve() {
    is_admitted_ = server_->admit();
    if (!is_admitted_) {
        co_await refuse(503, "the server has as many connections as it takes");
        co_return co_await say_goodbye();
    }
    for (;;) {
        const bool has_request = co_await wait_for_request();
        if (!has_request) {
            if (unread().empty()) co_return;  // nobody waits for anything
            break;
        }
        int status = 0;
        std::string detail;
        try {
            const bool goes_on = co_await serve_request();
            if (!goes_on) break;
        } catch (const bad_request& e) {
            status = e.status();
            detail = e.what();
        }
        if (status != 0) {
            co_await refuse(status, detail);
            break;
        }
    }
    co_await say_goodbye();
}

/// False: there will be none.
asyncio::coro<bool> server_connection::wait_for_request() {
    parser_.reset();
    is_head_ = false;
    const bool is_first = std::exchange(is_first_request_, false);
    if (skip_empty_lines()) co_return !server_->is_closing();
    if (server_->is_closing()) co_return false;
    const server_options& options = server_->options;
    asyncio::deadline_scope limit{time_limit(is_first ? options.header_timeout : options.keep_alive_timeout)};
    const open_scope idle(idle_);
    if (received_.capacity() > small_read) received_ = {};  // what a body needed, an idle connection does not
    try {
        for (;;) {
            const bool has_bytes = co_await fill(small_read);
            if (!has_bytes) co_return false;
            if (skip_empty_lines()) co_return true;
        }
    } catch (const cancelled_error&) {
        if (!limit.has_expired() && !idle.is_ours()) throw;
    }
    co_return false;
}

/// Those before a request are ignored, as RFC 9112 asks. Returns whether something stands after them.
bool server_connection::skip_empty_lines() noexcept {
    const auto begin = received_.find_first_not_of("\r\n", taken_);
    taken_ = begin == std::string::npos ? received_.size() : begin;
    return begin != std::string::npos;
}

/// False: the connection is to be closed.
asyncio::coro<bool> server_connection::serve_request() {
    const bool has_head = co_await read_part("head", server_->options.header_timeout);
    if (!has_head) co_return false;
    is_head_ = parser_.method() == "HEAD";
    router::match route = server_->routes.find(parser_.method(), parser_.raw_path());
    const bool waits_for_leave = parser_.expects_continue();
    if (waits_for_leave && route.found) co_await send_bytes("HTTP/1.1 100 Continue\r\n\r\n");
    if (!waits_for_leave || route.found) {
        const bool has_body = co_await read_part("body", server_->options.body_timeout);
        if (!has_body) co_return false;
    }
    if (route.found) {
        server_request request = parser_.take();
        request.parameters = std::move(route.parameters);
        request.client = writer_.peer_address().to_string();
        const server_response answer = co_await call(*route.found, std::move(request));
        co_return co_await send(answer);
    }
    server_response answer = error_response(404, "there is nothing at this path");
    if (!route.allowed.empty()) {
        answer = error_response(405, "this path takes " + route.allowed);
        answer.headers.push_back({.name = "Allow", .value = std::move(route.allowed)});
    }
    co_return co_await send(answer);
}

/// Reads until the parser has the next part of the request. False: the client has gone in the middle.
asyncio::coro<bool> server_connection::read_part(std::string_view name, seconds time) {
    asyncio::deadline_scope limit{time_limit(time)};
    try {
        while (parse() == request_parser::progress::needs_more) {
            const bool has_bytes = co_await fill(parser_.is_head_complete() ? large_read : small_read);
            if (!has_bytes) co_return false;
        }
        co_return true;
    } catch (const cancelled_error&) {
        if (!limit.has_expired()) throw;
    }
    throw bad_request(408, fmt::format("the {} of the request took longer than {:g} s", name, time.count()));
}

request_parser::progress server_connection::parse() {
    std::string_view bytes = unread();
    const request_parser::progress made = parser_.parse(bytes);
    taken_ = received_.size() - bytes.size();
    return made;
}

asyncio::coro<server_response> server_connection::call(const handler& what, server_request request) {
    const std::string origin = fmt::format("http server: {} {}", request.method, request.path);
    try {
        asyncio::coro<server_response> work = what(std::move(request));
        server_response answer = co_await std::move(work);
        // What cannot be sent is the handler's error, and is noticed while there is still another answer to give.
        check_response(answer);
        co_return answer;
    } catch (...) {
        if (whole_->cancel_called() || whole_->is_cancelled_outside()) throw;
        report_unread_error(std::current_exception(), origin);
    }
    co_return error_response(500, "the handler failed");
}

/// False: the connection is to be closed.
asyncio::coro<bool> server_connection::send(const server_response& answer) {
    const body_framing framing = framing_of(answer, parser_.is_http_1_0());
    const bool keeps_alive = parser_.is_complete() && parser_.keeps_alive() && !server_->is_closing() &&
                             framing != body_framing::until_close;
    std::string head = response_head(answer, framing, keeps_alive);
    const bool has_body = framing != body_framing::none && !is_head_;
    const bool is_stream = has_body && answer.stream;
    if (has_body && !is_stream && answer.body.size() <= max_joined_body) head += answer.body;
    co_await send_bytes(head);
    if (has_body && !is_stream && answer.body.size() > max_joined_body) co_await send_bytes(answer.body);
    if (is_stream) {
        const bool is_whole = co_await send_stream(answer, framing);
        if (!is_whole) {
            writer_.abort();
            co_return false;
        }
    }
    co_return keeps_alive;
}

/// False: the client must learn that the answer is not complete.
asyncio::coro<bool> server_connection::send_stream(const server_response& answer, body_framing framing) {
    chunk_writer writer(*this, framing == body_framing::chunked);
    try {
        asyncio::coro<void> work = answer.stream(writer);
        co_await std::move(work);
    } catch (...) {
        if (whole_->cancel_called() || whole_->is_cancelled_outside()) throw;
        if (!writer.has_failed()) report_unread_error(std::current_exception(), "http server: stream of an answer");
        co_return false;
    }
    if (framing == body_framing::chunked) co_await send_bytes("0\r\n\r\n");
    co_return true;
}

/// Answers and leaves the connection of no use.
asyncio::coro<void> server_connection::refuse(int status, std::string_view detail) {
    const server_response answer = error_response(status, detail);
    std::string bytes = response_head(answer, body_framing::length, false);
    if (!is_head_) bytes += answer.body;
    co_await send_bytes(bytes);
}

asyncio::coro<void> server_connection::send_bytes(std::string_view bytes) {
    const seconds time = server_->options.write_timeout;
    do {
        const std::string_view piece = bytes.substr(0, max_write);
        bytes.remove_prefix(piece.size());
        asyncio::deadline_scope limit{time_limit(time)};
        writer_.write(piece);
        try {
            co_await writer_.drain();
            continue;
        } catch (const cancelled_error&) {
            if (!limit.has_expired()) throw;
        }
        throw timeout_error(fmt::format("http server: the client took nothing for {:g} s", time.count()));
    } while (!bytes.empty());
}

/// Waits until what was written has gone out.
asyncio::coro<void> server_connection::close() {
    asyncio::deadline_scope limit{time_limit(server_->options.write_timeout)};
    writer_.close();
    try {
        co_await writer_.wait_closed();
    } catch (const cancelled_error&) {
        if (!limit.has_expired()) throw;
        writer_.abort();
    }
}

asyncio::coro<bool> server_connection::fill(std::size_t size) {
    received_.erase(0, taken_);
    taken_ = 0;
    const std::size_t before = received_.size();
    received_.resize(before + size);
    try {
        const std::size_t count = co_await reader_.read_some(std::span(received_).subspan(before));
        received_.resize(before + count);
        co_return count > 0;
    } catch (...) {
        received_.resize(before);
        throw;
    }
}

asyncio::coro<void> server_connection::say_goodbye() {
    if (writer_.is_closing()) co_return;
    asyncio::deadline_scope limit{time_limit(goodbye_time)};
    try {
        writer_.write_eof();
        for (std::size_t total = 0; total < max_goodbye_bytes; total += received_.size()) {
            taken_ = received_.size();
            const bool has_bytes = co_await fill(large_read);
            if (!has_bytes) co_return;
        }
    } catch (const cancelled_error&) {
        if (!limit.has_expired()) throw;
    }
}

}  // namespace tercet::http
