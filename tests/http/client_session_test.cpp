#include <tercet/asyncio/event.hpp>
#include <tercet/asyncio/gather.hpp>
#include <tercet/asyncio/run.hpp>
#include <tercet/asyncio/sleep.hpp>
#include <tercet/asyncio/task.hpp>
#include <tercet/futures/errors.hpp>
#include <tercet/http/client_session.hpp>
#include <tercet/http/server.hpp>

#include <gmock/gmock.h>
#include <http/scripted_server.hpp>

#include <algorithm>
#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace tercet::http {
namespace {

using namespace std::chrono_literals;
using asyncio::coro;
using test::plain_answer;
using test::scripted_server;
using testing::HasSubstr;
using then = scripted_server::then;

scripted_server::script always(std::string bytes, then after = then::keep_open) {
    return [bytes = std::move(bytes), after](const std::string&) { return scripted_server::answer{bytes, after}; };
}

/// A server in the same loop whose handlers wait until they are let go, and count how many wait at once.
class gate {
public:
    coro<void> start() {
        server_.route("GET", "/wait", [this](server_request) { return wait(); });
        server_.route("GET", "/now", [](server_request) { return now(); });
        co_await server_.start();
    }
    std::string url(std::string_view path = "/wait") const { return server_.url(path); }
    /// The same server by another name.
    std::string url_of_other_host() const { return "http://localhost:" + std::to_string(server_.port()) + "/now"; }
    void open() { opened_.set(); }
    coro<void> until_waiting(int count) {
        while (waiting_ < count) {
            arrived_.clear();
            co_await arrived_.wait();
        }
    }
    int most_at_once() const { return most_at_once_; }

private:
    coro<server_response> wait() {
        most_at_once_ = std::max(most_at_once_, ++waiting_);
        arrived_.set();
        co_await opened_.wait();
        --waiting_;
        co_return text_response("through");
    }
    static coro<server_response> now() { co_return text_response("now"); }

    asyncio::event opened_;
    asyncio::event arrived_;
    int waiting_ = 0;
    int most_at_once_ = 0;
    server server_;
};

/// The text of the error of type `Error` with which a coroutine or a task ends.
template <class Error, class Awaited>
coro<std::string> error_of(Awaited awaited) {
    try {
        co_await std::move(awaited);
    } catch (const Error& e) {
        co_return e.what();
    }
    co_return "no error";
}

coro<void> cancel_one(std::string url) {
    client_session session;
    auto fetch = asyncio::create_task(session.get(url));
    co_await asyncio::sleep(0s);
    fetch.cancel("enough");
    bool is_cancelled = false;
    try {
        co_await fetch;
    } catch (const cancelled_error&) {
        is_cancelled = true;
    }
    EXPECT_TRUE(is_cancelled);
    const response next = co_await session.get(url);
    EXPECT_EQ(next.body, "ok");
}

TEST(client_session, cancelled_fetch_is_taken_off_and_the_session_goes_on) {
    scripted_server server(always(plain_answer("ok")));
    asyncio::run(cancel_one(server.url()));
}

coro<void> cancel_on_the_wire() {
    gate gate;
    co_await gate.start();
    client_session session;
    auto fetch = asyncio::create_task(session.get(gate.url()));
    co_await gate.until_waiting(1);
    fetch.cancel("enough");
    const std::string error = co_await error_of<cancelled_error>(fetch);
    EXPECT_EQ(error, "enough");
    const response next = co_await session.get(gate.url("/now"));
    EXPECT_EQ(next.body, "now");
}

TEST(client_session, fetch_can_be_cancelled_while_it_waits_for_the_answer) { asyncio::run(cancel_on_the_wire()); }

coro<int> most_at_once(client_session_options options, int fetches, int expected) {
    gate gate;
    co_await gate.start();
    client_session session(options);
    std::vector<asyncio::task<response>> tasks;
    for (int i = 0; i < fetches; ++i) tasks.push_back(asyncio::create_task(session.get(gate.url())));
    co_await gate.until_waiting(expected);
    if (options.limit_per_host != unlimited) {
        const response other = co_await session.get(gate.url_of_other_host());
        EXPECT_EQ(other.body, "now");
    }
    gate.open();
    for (auto& task : tasks) {
        const response& answer = co_await task;
        EXPECT_EQ(answer.body, "through");
    }
    co_return gate.most_at_once();
}

TEST(client_session, no_more_fetches_than_the_limit_are_under_way) {
    EXPECT_EQ(asyncio::run(most_at_once({.limit = 3}, 10, 3)), 3);
}

TEST(client_session, busy_host_does_not_hold_up_another) {
    EXPECT_EQ(asyncio::run(most_at_once({.limit_per_host = 2}, 10, 2)), 2);
}

TEST(client_session, unlimited_is_unlimited) {
    EXPECT_EQ(asyncio::run(most_at_once({.limit = unlimited}, 150, 150)), 150);
}

coro<void> queue_behind_one() {
    gate gate;
    co_await gate.start();
    client_session session({.limit = 1});
    auto first = asyncio::create_task(session.get(gate.url()));
    co_await gate.until_waiting(1);
    const std::string error = co_await error_of<timeout_error>(session.get(gate.url("/now"), {.timeout = 20ms}));
    EXPECT_THAT(error, HasSubstr("no complete response within 0.02 s"));
    auto third = asyncio::create_task(session.get(gate.url("/now")));
    auto fourth = asyncio::create_task(session.get(gate.url("/now")));
    co_await asyncio::sleep(0s);
    third.cancel();
    gate.open();
    const response& answer = co_await first;
    EXPECT_EQ(answer.body, "through");
    const response& last = co_await fourth;
    EXPECT_EQ(last.body, "now");
    EXPECT_TRUE(third.cancelled());
}

TEST(client_session, fetch_that_waits_for_its_turn_can_time_out_and_be_cancelled) { asyncio::run(queue_behind_one()); }

/// Fetches to two hosts wait in lines of their own; some leave theirs before their turn.
coro<std::vector<int>> order_of_answers() {
    gate gate;
    co_await gate.start();
    client_session session({.limit = 2, .limit_per_host = 1});
    std::vector<int> order;
    const auto get = [&](std::string url, int number) -> coro<void> {
        co_await session.get(std::move(url));
        order.push_back(number);
    };
    auto first = asyncio::create_task(get(gate.url("/wait"), 0));
    auto same_host = asyncio::create_task(get(gate.url("/now"), 1));
    auto leaves = asyncio::create_task(get(gate.url("/now"), 2));
    auto same_host_again = asyncio::create_task(get(gate.url("/now"), 3));
    co_await gate.until_waiting(1);
    const std::string error = co_await error_of<timeout_error>(session.get(gate.url("/now"), {.timeout = 20ms}));
    EXPECT_THAT(error, HasSubstr("no complete response"));
    auto other_host = asyncio::create_task(get(gate.url_of_other_host(), 4));
    auto other_host_again = asyncio::create_task(get(gate.url_of_other_host(), 5));
    co_await other_host_again;
    leaves.cancel();
    gate.open();
    co_await same_host_again;
    co_await asyncio::sleep(0s);
    co_return order;
}

TEST(client_session, fetches_to_each_host_are_made_in_their_order) {
    EXPECT_THAT(asyncio::run(order_of_answers()), testing::ElementsAre(4, 5, 0, 1, 3));
}

coro<void> destroy_with_lines() {
    gate gate;
    co_await gate.start();
    std::optional<client_session> session(std::in_place, client_session_options{.limit_per_host = 1});
    std::vector<asyncio::task<response>> tasks;
    for (int i = 0; i < 5; ++i) tasks.push_back(asyncio::create_task(session->get(gate.url())));
    co_await gate.until_waiting(1);
    session.reset();
    for (auto& task : tasks) {
        const std::string error = co_await error_of<http::error>(task);
        EXPECT_THAT(error, HasSubstr("the client_session was destroyed"));
    }
}

TEST(client_session, destroyed_fails_those_too_that_wait_for_their_host) { asyncio::run(destroy_with_lines()); }

coro<void> destroy_under_way() {
    gate gate;
    co_await gate.start();
    std::optional<client_session> session(std::in_place, client_session_options{.limit = 1});
    auto running = asyncio::create_task(session->get(gate.url()));
    auto queued = asyncio::create_task(session->get(gate.url()));
    coro<response> not_begun = session->get(gate.url());
    co_await gate.until_waiting(1);
    session.reset();
    for (auto& task : {running, queued}) {
        const std::string error = co_await error_of<http::error>(task);
        EXPECT_THAT(error, HasSubstr("the client_session was destroyed"));
    }
    const std::string error = co_await error_of<invalid_state_error>(std::move(not_begun));
    EXPECT_THAT(error, HasSubstr("fetch after its end"));
}

TEST(client_session, destroyed_with_fetches_under_way_fails_them) { asyncio::run(destroy_under_way()); }

coro<void> leave_a_fetch_behind(client_session& session, std::string url) {
    auto left = asyncio::create_task(session.get(url));
    co_await asyncio::sleep(0s);
}

TEST(client_session, survives_a_loop_that_ends_with_a_fetch_under_way) {
    scripted_server server(always(plain_answer("ok")));
    client_session session;
    asyncio::run(leave_a_fetch_behind(session, server.url()));
    EXPECT_EQ(asyncio::run(session.get(server.url())).body, "ok");
}

TEST(client_session, may_never_see_a_loop) {
    client_session session;
    const coro<response> dropped = session.get("http://127.0.0.1:1/");
}

TEST(client_session, that_was_moved_from_says_so) {
    client_session first;
    const client_session second = std::move(first);
    EXPECT_THROW(asyncio::run(first.get("http://127.0.0.1:1/")), invalid_state_error);
}

TEST(client_session, impossible_options_are_refused) {
    EXPECT_THROW(client_session({.limit = 0}), std::invalid_argument);
    EXPECT_THROW(client_session({.limit_per_host = 0}), std::invalid_argument);
    EXPECT_THROW(client_session({.headers = {{"A", "\n"}}}), std::invalid_argument);
    EXPECT_THROW(client_session({.user_agent = "agent\r\nX: injected"}), std::invalid_argument);
}

TEST(client_session, sends_its_headers_with_every_request) {
    scripted_server server(always(plain_answer("")));
    client_session session({.headers = {{"X-A", "1"}}, .user_agent = "agent/1"});
    asyncio::run(session.post(server.url(), "", {.headers = {{"X-B", "2"}}}));
    EXPECT_THAT(server.heads().at(0),
                testing::AllOf(HasSubstr("X-A: 1\r\n"), HasSubstr("X-B: 2\r\n"), HasSubstr("User-Agent: agent/1\r\n")));
}

}  // namespace
}  // namespace tercet::http
