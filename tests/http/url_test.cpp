#include <tercet/http/url.hpp>

#include <gmock/gmock.h>

#include <stdexcept>

namespace tercet::http {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

std::string refusal_of(const std::string& url) {
    try {
        check_url(url);
    } catch (const std::invalid_argument& e) {
        return e.what();
    }
    return "none";
}

TEST(url, says_what_is_malformed_and_what_to_write) {
    EXPECT_THAT(refusal_of(""), AllOf(HasSubstr("malformed URL ''"), HasSubstr("write http://")));
    EXPECT_THAT(refusal_of("example.com/a"),
                AllOf(HasSubstr("malformed URL 'example.com/a'"), HasSubstr("write http:// or https:// in front")));
    EXPECT_THAT(refusal_of("http://"), HasSubstr("malformed URL 'http://'"));
    EXPECT_THAT(refusal_of("http://host:99999/"), AllOf(HasSubstr("malformed URL"), HasSubstr("ort number")));
    EXPECT_THAT(refusal_of("http://host:0/"), HasSubstr("port 0"));
    EXPECT_THAT(refusal_of("http://host/a b"), HasSubstr("percent-encoded"));
    EXPECT_THAT(refusal_of("http://ho st/"), HasSubstr("malformed URL"));
    EXPECT_THAT(refusal_of("http://[::1/"), HasSubstr("malformed URL"));
    EXPECT_THAT(refusal_of(std::string("http://host/\0x", 14)), HasSubstr("zero byte"));
    EXPECT_THAT(refusal_of("http://host/\r\nX: y"), HasSubstr("malformed URL"));
}

TEST(url, only_http_and_https_pass) {
    EXPECT_THAT(refusal_of("ftp://host/a"), HasSubstr("the scheme is ftp; only http and https"));
    EXPECT_THAT(refusal_of("file:///etc/passwd"), HasSubstr("the scheme is file"));
    EXPECT_THAT(refusal_of("gopher://host/"), HasSubstr("the scheme is gopher"));
    EXPECT_EQ(check_url("HTTPS://host/a").authority, "host:443");
}

TEST(url, authority_has_the_port_of_the_scheme) {
    EXPECT_EQ(check_url("http://127.0.0.1:1/x").authority, "127.0.0.1:1");
    EXPECT_EQ(check_url("http://[::1]").authority, "[::1]:80");
}

TEST(url, passwords_do_not_reach_a_text_for_people) {
    EXPECT_EQ(check_url("http://me:secret@host/a").shown, "http://host/a");
    EXPECT_EQ(without_credentials("http://me:secret@host/a?b"), "http://host/a?b");
    EXPECT_THAT(refusal_of("http://me:secret@host:99999/"), AllOf(HasSubstr("host:99999"), Not(HasSubstr("secret"))));
}

}  // namespace
}  // namespace tercet::http
