// What both clients promise, checked on both.

#include <tercet/futures/errors.hpp>
#include <tercet/http/session.hpp>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <http/clients.hpp>
#include <http/running_server.hpp>
#include <http/scripted_server.hpp>

#include <chrono>
#include <limits>
#include <stdexcept>
#include <string>
#include <system_error>

namespace tercet::http {
namespace {

using namespace std::chrono_literals;
using test::plain_answer;
using test::scripted_server;
using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;
using then = scripted_server::then;

/// Always the same answer.
scripted_server::script always(std::string bytes, then after = then::keep_open) {
    return [bytes = std::move(bytes), after](const std::string&) { return scripted_server::answer{bytes, after}; };
}

asyncio::coro<server_response> redirect(server_request request) {
    server_response answer;
    answer.status = std::stoi(request.parameter_named("code"));
    answer.headers.push_back({"Location", "/new"});
    co_return answer;
}

asyncio::coro<server_response> say_what_came(server_request request) {
    server_response answer = text_response(request.method + " " + request.body);
    answer.headers.push_back({"X-Method", request.method});
    co_return answer;
}

void set_up_redirects(server& it) {
    for (const char* method : {"GET", "POST", "PUT", "PATCH", "DELETE"}) {
        it.route(method, "/old/{code}", redirect);
        it.route(method, "/new", say_what_came);
    }
}

template <class Client>
class client : public testing::Test {
protected:
    response fetch(request wanted) { return client_.fetch(std::move(wanted)); }

    /// The text of the error of type `Error` that the fetch throws.
    template <class Error>
    std::string error_of(request wanted) {
        try {
            client_.fetch(std::move(wanted));
        } catch (const Error& e) {
            return e.what();
        }
        return "no error";
    }

    Client client_;
};

TYPED_TEST_SUITE(client, test::all_clients, );

TYPED_TEST(client, gets_an_answer_with_all_its_parts) {
    scripted_server server(
        always("HTTP/1.1 203 Quite Fine\r\nX-One: 1\r\nx-two:  2 \r\nContent-Length: 5\r\n\r\nhello"));
    const response answer = this->fetch({.url = server.url("/path?x=1")});
    EXPECT_EQ(answer.status, 203);
    EXPECT_EQ(answer.reason, "Quite Fine");
    EXPECT_EQ(answer.body, "hello");
    EXPECT_EQ(answer.url, server.url("/path?x=1"));
    EXPECT_TRUE(answer.ok());
    EXPECT_GT(answer.elapsed, 0ns);
    EXPECT_LT(answer.elapsed, 30s);
    ASSERT_TRUE(answer.find_header("X-TWO"));
    EXPECT_EQ(*answer.find_header("X-TWO"), "2");
    EXPECT_EQ(answer.find_header("X-Three"), nullptr);
    EXPECT_THAT(server.heads().at(0), StartsWith("GET /path?x=1 HTTP/1.1\r\nHost: 127.0.0.1"));
}

TYPED_TEST(client, any_status_is_an_answer) {
    scripted_server server(always(plain_answer("gone", "410 Gone")));
    const response answer = this->fetch({.url = server.url()});
    EXPECT_EQ(answer.status, 410);
    EXPECT_FALSE(answer.ok());
    EXPECT_THROW(answer.raise_for_status(), error);
}

TYPED_TEST(client, sends_its_headers_and_no_others_of_the_same_name) {
    scripted_server server(always(plain_answer("")));
    this->fetch({.url = server.url(), .headers = {{"X-A", "1"}, {"X-Empty", ""}, {"user-agent", "mine"}}});
    const std::string head = server.heads().at(0);
    EXPECT_THAT(head, AllOf(HasSubstr("X-A: 1\r\n"), HasSubstr("X-Empty:\r\n"), HasSubstr("user-agent: mine\r\n")));
    EXPECT_EQ(head.find("User-Agent"), head.npos);
}

TYPED_TEST(client, post_says_its_length_and_no_content_type_of_its_own) {
    scripted_server server(always(plain_answer("")));
    this->fetch({.method = "POST", .url = server.url()});
    EXPECT_THAT(server.heads().at(0), AllOf(StartsWith("POST / "), HasSubstr("Content-Length: 0\r\n")));
    EXPECT_EQ(server.heads().at(0).find("Content-Type"), std::string::npos);
}

TYPED_TEST(client, head_waits_for_no_body) {
    scripted_server server(always("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"));
    const response answer = this->fetch({.method = "HEAD", .url = server.url()});
    EXPECT_EQ(answer.body, "");
    EXPECT_EQ(*answer.find_header("content-length"), "1000");
}

TYPED_TEST(client, other_methods_are_sent_as_they_are) {
    scripted_server server(always(plain_answer("")));
    this->fetch({.method = "DELETE", .url = server.url()});
    EXPECT_THAT(server.heads().at(0), StartsWith("DELETE / HTTP/1.1\r\n"));
}

TYPED_TEST(client, chunked_answers_are_joined) {
    scripted_server server(
        always("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"));
    EXPECT_EQ(this->fetch({.url = server.url()}).body, "abcde");
}

TYPED_TEST(client, refused_connection_is_a_system_error_that_names_the_peer) {
    const auto port = test::unused_port();
    try {
        this->fetch({.url = fmt::format("http://127.0.0.1:{}/x", port)});
        FAIL() << "no error";
    } catch (const std::system_error& e) {
        EXPECT_EQ(e.what(), fmt::format("connect 127.0.0.1:{}: Connection refused", port));
        EXPECT_EQ(e.code(), std::errc::connection_refused);
    }
}

TYPED_TEST(client, unknown_name_is_an_error_that_names_it) {
    EXPECT_EQ(this->template error_of<error>({.url = "http://nosuch.invalid/"}),
              "resolve nosuch.invalid: Name or service not known");
}

TYPED_TEST(client, server_that_closes_before_answering) {
    scripted_server server(always("", then::close));
    EXPECT_EQ(this->template error_of<error>({.url = server.url()}),
              "GET " + server.url() + ": the server closed the connection before answering");
}

TYPED_TEST(client, server_that_closes_in_the_headers) {
    scripted_server server(always("HTTP/1.1 200 OK\r\nContent-Le", then::close));
    EXPECT_EQ(this->template error_of<error>({.url = server.url()}),
              "GET " + server.url() + ": the server closed the connection in the middle of the headers");
}

TYPED_TEST(client, server_that_closes_in_the_body) {
    scripted_server server(always("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789", then::close));
    EXPECT_EQ(this->template error_of<error>({.url = server.url()}),
              "GET " + server.url() + ": the server closed the connection after 10 of 100 bytes");
}

TYPED_TEST(client, server_that_closes_between_chunks) {
    scripted_server server(always("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", then::close));
    EXPECT_EQ(this->template error_of<error>({.url = server.url()}),
              "GET " + server.url() + ": the server closed the connection after 3 bytes, before the end of the answer");
}

TYPED_TEST(client, silent_server_is_a_timeout) {
    scripted_server server(always("", then::hang));
    EXPECT_EQ(this->template error_of<timeout_error>({.url = server.url(), .timeout = 50ms}),
              "GET " + server.url() + ": no complete response within 0.05 s");
}

TYPED_TEST(client, server_that_stops_in_the_body_is_a_timeout) {
    scripted_server server(always("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789", then::hang));
    EXPECT_THAT(this->template error_of<timeout_error>({.url = server.url(), .timeout = 50ms}),
                HasSubstr("no complete response within 0.05 s"));
}

TYPED_TEST(client, timeout_of_zero_fails_at_once) {
    scripted_server server(always(plain_answer("")));
    EXPECT_THAT(this->template error_of<timeout_error>({.url = server.url(), .timeout = 0s}), HasSubstr("within 0 s"));
    EXPECT_EQ(server.connection_count(), 0);
}

TYPED_TEST(client, impossible_timeouts_are_refused_and_infinity_is_none) {
    scripted_server server(always(plain_answer("ok")));
    using limits = std::numeric_limits<double>;
    EXPECT_THAT(this->template error_of<std::invalid_argument>({.url = server.url(), .timeout = -1s}),
                HasSubstr("negative"));
    EXPECT_THAT(
        this->template error_of<std::invalid_argument>({.url = server.url(), .timeout = seconds(limits::quiet_NaN())}),
        HasSubstr("not a number"));
    EXPECT_EQ(this->fetch({.url = server.url(), .timeout = seconds(limits::infinity())}).body, "ok");
}

TYPED_TEST(client, follows_redirects_to_the_end) {
    scripted_server server([](const std::string& head) {
        if (head.starts_with("POST /start "))
            return scripted_server::answer{
                "HTTP/1.1 302 Found\r\nLocation: /end\r\nX-Old: 1\r\nContent-Length: 4\r\n\r\nmove"};
        return scripted_server::answer{plain_answer("end")};
    });
    const response answer = this->fetch({.method = "POST", .url = server.url("/start")});
    EXPECT_EQ(answer.body, "end");
    EXPECT_EQ(answer.url, server.url("/end"));
    EXPECT_EQ(answer.find_header("X-Old"), nullptr);
    EXPECT_THAT(server.heads().at(1), StartsWith("GET /end "));
}

TYPED_TEST(client, redirects_keep_method_and_body_but_those_of_a_post_and_303) {
    test::running_server server(set_up_redirects);
    for (const char* method : {"GET", "POST", "PUT", "PATCH", "DELETE"}) {
        for (const char* body : {"", "precious"}) {
            for (const int code : {301, 302, 303, 307, 308}) {
                const std::string url = server.url(fmt::format("/old/{}", code));
                const response answer = this->fetch({.method = method, .url = url, .body = body});
                const bool is_get_now = code == 303 || (code < 303 && std::string_view(method) == "POST");
                EXPECT_EQ(answer.body, is_get_now ? "GET " : fmt::format("{} {}", method, body))
                    << method << " '" << body << "' " << code;
                EXPECT_EQ(answer.url, server.url("/new"));
            }
        }
    }
}

TYPED_TEST(client, redirect_of_head_stays_head) {
    test::running_server server(set_up_redirects);
    for (const int code : {301, 302, 303, 307, 308}) {
        const std::string url = server.url(fmt::format("/old/{}", code));
        const response answer = this->fetch({.method = "HEAD", .url = url});
        EXPECT_EQ(answer.status, 200);
        EXPECT_EQ(*answer.find_header("X-Method"), "HEAD");
    }
}

TYPED_TEST(client, redirect_loop_ends_at_the_limit) {
    scripted_server server(always("HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n"));
    EXPECT_EQ(this->template error_of<error>({.url = server.url()}),
              "GET " + server.url() + ": more than 10 redirects");
    EXPECT_EQ(server.heads().size(), 11U);
}

TYPED_TEST(client, redirects_can_be_left_alone) {
    scripted_server server(always("HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n"));
    const response answer = this->fetch({.url = server.url(), .max_redirects = 0});
    EXPECT_EQ(answer.status, 302);
    EXPECT_EQ(*answer.find_header("location"), "/again");
}

TYPED_TEST(client, redirect_to_another_scheme_is_refused) {
    scripted_server server(always("HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n"));
    EXPECT_THAT(this->template error_of<error>({.url = server.url()}), HasSubstr("neither http nor https"));
}

TYPED_TEST(client, body_beyond_the_limit_fails) {
    scripted_server server(always(plain_answer(std::string(1000, 'x'))));
    EXPECT_EQ(this->fetch({.url = server.url(), .max_body_bytes = 1000}).body.size(), 1000U);
    EXPECT_THAT(this->template error_of<error>({.url = server.url(), .max_body_bytes = 999}),
                HasSubstr("longer than the limit of 999 bytes"));
}

TYPED_TEST(client, headers_without_end_fail) {
    std::string answer = "HTTP/1.1 200 OK\r\n";
    for (int i = 0; i < 400; ++i) answer += fmt::format("X-{}: {}\r\n", i, std::string(1000, 'x'));
    scripted_server server(always(answer, then::hang));
    EXPECT_THAT(this->template error_of<error>({.url = server.url()}), HasSubstr("headers of the answer are longer"));
}

TYPED_TEST(client, single_huge_header_fails) {
    scripted_server server(always("HTTP/1.1 200 OK\r\nX: " + std::string(500'000, 'x'), then::hang));
    EXPECT_THAT(this->template error_of<error>({.url = server.url()}), StartsWith("GET " + server.url() + ": "));
}

TYPED_TEST(client, answer_that_is_not_http_fails) {
    scripted_server server(always("SSH-2.0-OpenSSH_9.2\r\n", then::close));
    EXPECT_THAT(this->template error_of<error>({.url = server.url()}),
                StartsWith("GET " + server.url() + ": the answer is not HTTP"));
}

TYPED_TEST(client, tls_failure_is_named) {
    scripted_server server(always(""), "this is not TLS");
    std::string url = server.url();
    url.replace(0, 4, "https");
    EXPECT_THAT(this->template error_of<error>({.url = url, .timeout = 10s}), StartsWith("GET " + url + ": TLS: "));
}

TYPED_TEST(client, requests_that_cannot_be_sent_are_refused) {
    const std::string url = "http://127.0.0.1:1/";
    const auto refusal = [this](request wanted) {
        return this->template error_of<std::invalid_argument>(std::move(wanted));
    };
    EXPECT_THAT(refusal({.url = "127.0.0.1"}), HasSubstr("malformed URL '127.0.0.1'"));
    EXPECT_THAT(refusal({.method = "GET /x", .url = url}), HasSubstr("method"));
    EXPECT_THAT(refusal({.method = "", .url = url}), HasSubstr("method"));
    EXPECT_THAT(refusal({.url = url, .headers = {{"A", "b\r\nC: d"}}}), HasSubstr("line break"));
    EXPECT_THAT(refusal({.url = url, .headers = {{"A:", "b"}}}), HasSubstr("header name"));
    EXPECT_THAT(refusal({.url = url, .headers = {{"content-length", "4"}}}), HasSubstr("leave it to the client"));
}

TYPED_TEST(client, connection_is_kept_for_the_next_request) {
    scripted_server server(always(plain_answer("ok")));
    this->fetch({.url = server.url()});
    this->fetch({.url = server.url()});
    EXPECT_EQ(server.heads().size(), 2U);
    EXPECT_EQ(server.connection_count(), 1);
}

TYPED_TEST(client, works_on_after_every_failure) {
    int number = 0;
    scripted_server server([&number](const std::string&) {
        if (number++ % 2 == 0)
            return scripted_server::answer{"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", then::close};
        return scripted_server::answer{plain_answer("ok")};
    });
    EXPECT_THROW(this->fetch({.url = server.url()}), error);
    EXPECT_EQ(this->fetch({.url = server.url()}).body, "ok");
}

TEST(session, default_headers_give_way_to_those_of_the_request) {
    scripted_server server(always(plain_answer("")));
    session own({.headers = {{"X-A", "session"}, {"X-B", "session"}}, .user_agent = "agent/1"});
    own.get(server.url(), {.headers = {{"x-a", "request"}}});
    const std::string head = server.heads().at(0);
    EXPECT_THAT(head, AllOf(HasSubstr("x-a: request\r\n"), HasSubstr("X-B: session\r\n"),
                            HasSubstr("User-Agent: agent/1\r\n")));
    EXPECT_EQ(head.find("X-A"), head.npos);
    EXPECT_THROW(session({.headers = {{"bad name", ""}}}), std::invalid_argument);
    EXPECT_THROW(session({.user_agent = "agent\r\nX: injected"}), std::invalid_argument);
}

TEST(session, free_functions_share_the_connections_of_their_thread) {
    scripted_server server(always(plain_answer("ok")));
    EXPECT_EQ(get(server.url()).body, "ok");
    EXPECT_EQ(fetch({.url = server.url()}).body, "ok");
    EXPECT_EQ(post(server.url(), "").body, "ok");
    EXPECT_EQ(server.connection_count(), 1);
}

TEST(session, that_was_moved_from_says_so) {
    session first;
    const session second = std::move(first);
    EXPECT_THROW(first.get("http://127.0.0.1:1/"), invalid_state_error);
}

TEST(session, can_be_moved) {
    scripted_server server(always(plain_answer("ok")));
    session first;
    first.get(server.url());
    session second = std::move(first);
    second.get(server.url());
    first = std::move(second);
    first.get(server.url());
    EXPECT_EQ(server.connection_count(), 1);
}

}  // namespace
}  // namespace tercet::http
