// Both clients against the real server with the routes of `tercet httpbin`.

#include <tercet/asyncio/gather.hpp>
#include <tercet/asyncio/run.hpp>
#include <tercet/http/client_session.hpp>

#include <gmock/gmock.h>
#include <http/clients.hpp>
#include <http/running_server.hpp>
#include <httpbin_app.hpp>
#include <nlohmann/json.hpp>

#include <chrono>
#include <string>
#include <vector>

namespace tercet::http {
namespace {

using namespace std::chrono_literals;
using asyncio::coro;
using nlohmann::json;
using test::running_server;

template <class Client>
class httpbin : public testing::Test {
protected:
    response fetch(const std::string& path) { return client_.fetch({.url = server_.url(path)}); }
    json fetch_json(const std::string& path) { return json::parse(fetch(path).body); }
    json post(std::string body, std::vector<header> headers) {
        return json::parse(client_
                               .fetch({.method = "POST",
                                       .url = server_.url("/post?a=1"),
                                       .headers = std::move(headers),
                                       .body = std::move(body)})
                               .body);
    }

    running_server server_{tools::add_httpbin_routes};
    Client client_;
};

TYPED_TEST_SUITE(httpbin, test::all_clients, );

TYPED_TEST(httpbin, get_describes_the_request) {
    const response answer =
        this->client_.fetch({.url = this->server_.url("/get?a=1&b=x%20y&a=2"), .headers = {{"X-Test", "value"}}});
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(*answer.find_header("Content-Type"), "application/json");
    const json described = json::parse(answer.body);
    EXPECT_EQ(described["args"], json({{"a", {"1", "2"}}, {"b", "x y"}}));
    EXPECT_EQ(described["headers"]["X-Test"], "value");
    EXPECT_EQ(described["origin"], "127.0.0.1");
    EXPECT_EQ(described["url"], this->server_.url("/get?a=1&b=x%20y&a=2"));
}

TYPED_TEST(httpbin, headers_and_index) {
    EXPECT_EQ(this->fetch_json("/headers")["headers"]["User-Agent"], "tercet");
    EXPECT_FALSE(this->fetch_json("/")["routes"].empty());
}

TYPED_TEST(httpbin, post_gives_back_json_form_and_data) {
    const json with_json = this->post(R"({"x": [1, 2]})", {{"Content-Type", "application/json"}});
    EXPECT_EQ(with_json["json"], json({{"x", {1, 2}}}));
    EXPECT_EQ(with_json["data"], R"({"x": [1, 2]})");
    EXPECT_EQ(with_json["args"]["a"], "1");
    const json with_form = this->post("k=v+w&k=2", {{"Content-Type", "application/x-www-form-urlencoded"}});
    EXPECT_EQ(with_form["form"]["k"], json({"v w", "2"}));
    EXPECT_EQ(with_form["json"], nullptr);
    const json with_bytes = this->post("a\xff z", {});
    EXPECT_EQ(with_bytes["data"], "a\xEF\xBF\xBD z");
    EXPECT_EQ(with_bytes["json"], nullptr);
}

TYPED_TEST(httpbin, a_body_nested_deeply_is_no_json) {
    const auto nested = [](std::size_t depth) { return std::string(depth, '[') + '1' + std::string(depth, ']'); };
    EXPECT_EQ(this->post(nested(100), {})["json"], json::parse(nested(100)));
    EXPECT_EQ(this->post(nested(101), {})["json"], nullptr);
}

TYPED_TEST(httpbin, large_post_arrives_whole) {
    const std::string body(500'000, 'x');
    EXPECT_EQ(this->post(body, {})["data"], body);
}

TYPED_TEST(httpbin, status_is_the_one_asked_for) {
    for (const int status : {200, 204, 304, 404, 418, 500, 503}) {
        const response answer = this->fetch("/status/" + std::to_string(status));
        EXPECT_EQ(answer.status, status);
        EXPECT_EQ(answer.body.empty(), status == 204 || status == 304);
    }
    EXPECT_EQ(this->fetch("/status/302").url, this->server_.url("/get"));
    for (const char* status : {"99", "100", "600", "abc", "-1", "200x"})
        EXPECT_EQ(this->fetch(std::string("/status/") + status).status, 400);
}

TYPED_TEST(httpbin, delay_waits) {
    const response answer = this->fetch("/delay/0.05");
    EXPECT_EQ(answer.status, 200);
    EXPECT_GE(answer.elapsed, 50ms);
    for (const char* delay : {"-1", "nan", "x", "1s"})
        EXPECT_EQ(this->fetch(std::string("/delay/") + delay).status, 400);
}

TYPED_TEST(httpbin, bytes_are_as_many_as_asked_for) {
    const response first = this->fetch("/bytes/1001?seed=7");
    EXPECT_EQ(first.body.size(), 1001U);
    EXPECT_EQ(this->fetch("/bytes/1001?seed=7").body, first.body);
    EXPECT_NE(this->fetch("/bytes/1001").body, first.body);
    EXPECT_EQ(this->fetch("/bytes/0").body, "");
    EXPECT_EQ(this->fetch("/bytes/99999999").status, 400);
    EXPECT_EQ(this->fetch("/bytes/-1").status, 400);
}

TYPED_TEST(httpbin, drip_comes_in_chunks) {
    const response answer = this->fetch("/drip?numbytes=5&duration=0.05&delay=0&code=202");
    EXPECT_EQ(answer.status, 202);
    EXPECT_EQ(answer.body, "*****");
    EXPECT_EQ(*answer.find_header("Transfer-Encoding"), "chunked");
    EXPECT_GE(answer.elapsed, 50ms);
    EXPECT_EQ(this->fetch("/drip?numbytes=2500&duration=0").body.size(), 2500U);
    EXPECT_EQ(this->fetch("/drip?numbytes=0").status, 400);
    EXPECT_EQ(this->fetch("/drip?duration=nan").status, 400);
}

coro<std::chrono::nanoseconds> fetch_side_by_side(std::string url, int count) {
    client_session session;
    std::vector<coro<response>> fetches;
    for (int i = 0; i < count; ++i) fetches.push_back(session.get(url));
    const auto start = std::chrono::steady_clock::now();
    const std::vector<response> answers = co_await asyncio::gather(std::move(fetches));
    const auto elapsed = std::chrono::steady_clock::now() - start;
    EXPECT_EQ(answers.size(), static_cast<std::size_t>(count));
    for (const response& answer : answers) EXPECT_EQ(answer.status, 200);
    co_return elapsed;
}

TEST(httpbin_clients, hundred_waits_on_one_loop_take_as_long_as_one) {
    running_server server(tools::add_httpbin_routes);
    const auto elapsed = asyncio::run(fetch_side_by_side(server.url("/delay/0.1"), 100));
    EXPECT_GE(elapsed, 100ms);
    EXPECT_LT(elapsed, 3s);  // one after the other: 10 s
}

}  // namespace
}  // namespace tercet::http
