#pragma once

#include <tercet/http/server_request.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

namespace tercet::http {

/// A request that cannot be served, and the status that says so to the client.
class bad_request : public std::runtime_error {
public:
    bad_request(int status, const std::string& reason) : std::runtime_error(reason), status_(status) {}
    int status() const noexcept { return status_; }

private:
    int status_;
};

/// Turns the bytes of a connection into requests, one after the other, with Boost.Beast's parser.
class request_parser {
public:
    enum class progress { needs_more, has_head, is_complete };

    /// A head of more than `max_header_bytes` or a body of more than `max_body_bytes` is refused.
    request_parser(std::uint32_t max_header_bytes, std::uint64_t max_body_bytes);
    ~request_parser();

    /// Forgets the request and is ready for the next.
    void reset();

    /// Takes bytes from the front of `received`, which shrinks by as many. Says `has_head` once, then `is_complete`.
    /// Throws `bad_request`; the connection cannot be understood after that.
    progress parse(std::string_view& received);

    bool is_head_complete() const noexcept;
    bool is_complete() const noexcept;

    /// Once the head is there:
    bool keeps_alive() const;
    bool is_http_1_0() const;
    /// The client waits for "100 Continue" before it sends the body.
    bool expects_continue() const;
    const std::string& method() const;
    /// Still percent-encoded, so that an encoded slash is no border of a segment.
    const std::string& raw_path() const;

    /// The request, once it is complete.
    server_request take();

private:
    struct state;

    /// False when nothing can be done without more bytes.
    bool advance(std::string_view& received);
    void take_head();

    std::unique_ptr<state> state_;
    std::uint32_t max_header_bytes_;
    std::uint64_t max_body_bytes_;
};

}  // namespace tercet::http
