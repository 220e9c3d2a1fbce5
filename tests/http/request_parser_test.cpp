#include <gmock/gmock.h>
#include <http/request_parser.hpp>

#include <string>
#include <string_view>

namespace tercet::http {
namespace {

using testing::HasSubstr;
using progress = request_parser::progress;

constexpr std::uint32_t header_limit = 1000;
constexpr std::uint64_t body_limit = 100;

/// Parses one whole request and returns it, with what stands after it in `rest`.
server_request parsed(std::string_view bytes, std::string_view* rest = nullptr) {
    request_parser parser(header_limit, body_limit);
    EXPECT_EQ(parser.parse(bytes), progress::has_head);
    EXPECT_EQ(parser.parse(bytes), progress::is_complete);
    if (rest) *rest = bytes;
    return parser.take();
}

/// The status with which `bytes` are refused, 0 when they are not.
int refusal_of(std::string_view bytes) {
    request_parser parser(header_limit, body_limit);
    try {
        while (parser.parse(bytes) == progress::has_head) {
        }
    } catch (const bad_request& e) {
        EXPECT_STRNE(e.what(), "");
        return e.status();
    }
    return 0;
}

TEST(request_parser, gives_the_parts_of_a_request) {
    const server_request request =
        parsed("GET /a%20b/c?x=1&y=a+b%26&x=2&z HTTP/1.1\r\nHost: h\r\nX-One: 1\r\nx-one: 2\r\n\r\n");
    EXPECT_EQ(request.method, "GET");
    EXPECT_EQ(request.target, "/a%20b/c?x=1&y=a+b%26&x=2&z");
    EXPECT_EQ(request.path, "/a b/c");
    EXPECT_EQ(request.query, (std::vector<parameter>{{"x", "1"}, {"y", "a b&"}, {"x", "2"}, {"z", ""}}));
    EXPECT_EQ(request.headers.size(), 3U);
    EXPECT_EQ(*request.find_header("X-ONE"), "1");
    EXPECT_EQ(*request.find_query("x"), "1");
    EXPECT_EQ(request.find_query("q"), nullptr);
    EXPECT_EQ(request.body, "");
}

TEST(request_parser, takes_bytes_one_by_one) {
    const std::string text =
        "POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1;x=y\r\nd\r\n0\r\n\r\n";
    request_parser parser(header_limit, body_limit);
    std::string unread;
    int heads = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        unread += text[i];
        std::string_view bytes = unread;
        progress made = parser.parse(bytes);
        if (made == progress::has_head) {
            ++heads;
            made = parser.parse(bytes);
        }
        unread.erase(0, unread.size() - bytes.size());
        ASSERT_EQ(made == progress::is_complete, i + 1 == text.size()) << i;
    }
    EXPECT_EQ(heads, 1);
    EXPECT_EQ(parser.take().body, "abcd");
}

TEST(request_parser, leaves_the_next_request_alone) {
    std::string_view rest;
    const server_request request =
        parsed("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcGET /next HTTP/1.1\r\n", &rest);
    EXPECT_EQ(request.body, "abc");
    EXPECT_EQ(rest, "GET /next HTTP/1.1\r\n");
}

TEST(request_parser, serves_one_request_after_the_other) {
    request_parser parser(header_limit, body_limit);
    for (const std::string body : {"one", "two"}) {
        const std::string text = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n" + body;
        std::string_view bytes = text;
        EXPECT_EQ(parser.parse(bytes), progress::has_head);
        EXPECT_EQ(parser.parse(bytes), progress::is_complete);
        EXPECT_EQ(parser.take().body, body);
        parser.reset();
    }
}

TEST(request_parser, knows_whether_the_connection_stays) {
    const auto keeps_alive = [](std::string_view bytes) {
        request_parser parser(header_limit, body_limit);
        EXPECT_EQ(parser.parse(bytes), progress::has_head);
        return parser.keeps_alive();
    };
    EXPECT_TRUE(keeps_alive("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
    EXPECT_FALSE(keeps_alive("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"));
    EXPECT_FALSE(keeps_alive("GET / HTTP/1.0\r\n\r\n"));
    EXPECT_TRUE(keeps_alive("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
}

TEST(request_parser, knows_who_waits_for_continue) {
    const auto waits = [](std::string_view bytes) {
        request_parser parser(header_limit, body_limit);
        EXPECT_EQ(parser.parse(bytes), progress::has_head);
        return parser.expects_continue();
    };
    EXPECT_TRUE(waits("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nExpect: 100-Continue\r\n\r\n"));
    EXPECT_FALSE(waits("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n"));
    EXPECT_FALSE(waits("POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n"));
    EXPECT_FALSE(waits("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n"));
}

TEST(request_parser, malformed_requests_are_refused) {
    EXPECT_EQ(refusal_of("nonsense\r\n\r\n"), 400);
    EXPECT_EQ(refusal_of("GET / HTTP/1.1\r\nHost h\r\n\r\n"), 400);
    EXPECT_EQ(refusal_of("GET / HTTP/1.1\r\n\r\n"), 400);
    EXPECT_EQ(refusal_of("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), 400);
    EXPECT_EQ(refusal_of("GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n"), 400);
    EXPECT_EQ(refusal_of("GET / HTTP/1.1\r\nHost: a\r\nX : a\r\n\r\n"), 400);
    EXPECT_EQ(refusal_of("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
    EXPECT_EQ(refusal_of("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), 400);
    EXPECT_EQ(refusal_of("\x16\x03\x01\x02 this is TLS"), 400);
}

TEST(request_parser, ambiguous_lengths_are_refused) {
    const std::string head = "POST / HTTP/1.1\r\nHost: h\r\n";
    EXPECT_EQ(refusal_of(head + "Content-Length: 3\r\nContent-Length: 4\r\n\r\n"), 400);
    EXPECT_EQ(refusal_of(head + "Content-Length: -3\r\n\r\n"), 400);
    EXPECT_EQ(refusal_of(head + "Content-Length: 99999999999999999999999\r\n\r\n"), 400);
    EXPECT_EQ(refusal_of(head + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
    EXPECT_EQ(refusal_of(head + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n"), 400);
    EXPECT_EQ(refusal_of(head + "Transfer-Encoding: gzip\r\n\r\n"), 501);
    EXPECT_EQ(refusal_of(head + "Transfer-Encoding: gzip, chunked\r\n\r\n"), 501);
    EXPECT_EQ(refusal_of(head + "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n"), 501);
    EXPECT_EQ(refusal_of("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
    EXPECT_EQ(refusal_of(head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n"), 400);
}

TEST(request_parser, limits_hold) {
    EXPECT_EQ(refusal_of("GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(header_limit, 'x')), 431);
    EXPECT_EQ(refusal_of("GET /" + std::string(header_limit, 'x')), 431);
    EXPECT_EQ(refusal_of("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 101\r\n\r\n"), 413);
    const std::string chunked = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    EXPECT_EQ(refusal_of(chunked + "ffffffff\r\n"), 413);
    EXPECT_EQ(refusal_of(chunked + "40\r\n" + std::string(64, 'x') + "\r\n40\r\n"), 413);
    EXPECT_EQ(refusal_of(chunked + "1;" + std::string(header_limit, 'x')), 400);
}

TEST(request_parser, trailers_do_not_become_headers) {
    const server_request request = parsed(
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n1\r\na\r\n0\r\nX-Admin: "
        "1\r\n\r\n");
    EXPECT_EQ(request.find_header("X-Admin"), nullptr);
    EXPECT_EQ(request.body, "a");
}

}  // namespace
}  // namespace tercet::http
