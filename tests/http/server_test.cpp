#include <tercet/asyncio/event.hpp>
#include <tercet/asyncio/open_connection.hpp>
#include <tercet/asyncio/run.hpp>
#include <tercet/asyncio/sleep.hpp>
#include <tercet/asyncio/task.hpp>
#include <tercet/futures/errors.hpp>
#include <tercet/http/server.hpp>
#include <tercet/http/session.hpp>

#include <gmock/gmock.h>
#include <http/running_server.hpp>

#include <atomic>
#include <chrono>
#include <future>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>

namespace tercet::http {
namespace {

using namespace std::chrono_literals;
using asyncio::coro;
using test::raw_client;
using test::running_server;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

coro<server_response> echo(server_request request) {
    co_return text_response(request.method + " " + request.path + " " + request.body);
}

coro<server_response> fail(server_request) {
    throw std::runtime_error("secret detail");
    co_return server_response{};
}

coro<server_response> wait_for_ever(server_request) {
    asyncio::event never;
    co_await never.wait();
    co_return text_response("never");
}

coro<void> write_three(body_writer& writer) {
    for (const char* part : {"one", "", "two", "three"}) co_await writer.write(part);
}

coro<void> write_and_fail(body_writer& writer) {
    co_await writer.write("one");
    throw std::runtime_error("in the stream");
}

coro<void> write_much(body_writer& writer) {
    for (int i = 0; i < 1000; ++i) co_await writer.write(std::string(1'000'000, 'x'));
}

coro<server_response> stream(server_request request) {
    server_response answer;
    if (request.path == "/stream/fails")
        answer.stream = write_and_fail;
    else if (request.path == "/stream/much")
        answer.stream = write_much;
    else
        answer.stream = write_three;
    co_return answer;
}

coro<server_response> strange(server_request request) {
    server_response answer = text_response("body");
    if (request.path == "/strange/status") answer.status = 99;
    if (request.path == "/strange/header") answer.headers.push_back({"X", "a\r\nb"});
    if (request.path == "/strange/length") answer.headers.push_back({"content-length", "7"});
    if (request.path == "/strange/204") answer.status = 204;
    if (request.path == "/strange/205") answer.status = 205;
    if (request.path == "/strange/empty205") answer = {.status = 205};
    if (request.path == "/strange/huge") answer.body = std::string(40'000'000, 'h');
    if (request.path == "/strange/big") answer.body = std::string(1'000'000, 'b');
    co_return answer;
}

void set_up(server& server) {
    server.route("GET", "/echo/{x}", echo);
    server.route("POST", "/echo/{x}", echo);
    server.route("GET", "/fail", fail);
    server.route("GET", "/wait", wait_for_ever);
    server.route("GET", "/stream/{how}", stream);
    server.route("GET", "/strange/{how}", strange);
}

/// Silences the report of errors that nobody reads, and counts them.
class unread_errors {
public:
    unread_errors() : before_(set_unread_error_hook(&count)) { seen = 0; }
    unread_errors(const unread_errors&) = delete;
    unread_errors& operator=(const unread_errors&) = delete;
    ~unread_errors() { set_unread_error_hook(before_); }
    static inline std::atomic<int> seen{0};

private:
    static void count(const std::exception_ptr&, std::string_view) noexcept { ++seen; }
    unread_error_hook before_;
};

const std::string get_echo = "GET /echo/1 HTTP/1.1\r\nHost: h\r\n\r\n";

TEST(server, answers_and_keeps_the_connection) {
    running_server server(set_up);
    raw_client client(server.port());
    for (int i = 0; i < 3; ++i) {
        client.send(get_echo);
        EXPECT_THAT(client.read_answer(),
                    AllOf(StartsWith("HTTP/1.1 200 OK\r\nDate: "), HasSubstr("\r\nContent-Type: text/plain"),
                          HasSubstr("\r\nConnection: keep-alive\r\n"), EndsWith("\r\n\r\nGET /echo/1 ")));
    }
    EXPECT_EQ(server.connection_count(), 1U);
}

TEST(server, pipelined_requests_are_answered_in_order) {
    running_server server(set_up);
    raw_client client(server.port());
    std::string requests;
    for (int i = 0; i < 50; ++i)
        requests += "POST /echo/" + std::to_string(i) + " HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab";
    client.send(requests);
    for (int i = 0; i < 50; ++i) EXPECT_THAT(client.read_answer(), EndsWith("POST /echo/" + std::to_string(i) + " ab"));
}

TEST(server, request_may_come_byte_by_byte) {
    running_server server(set_up);
    raw_client client(server.port());
    for (const char c : std::string("\r\nPOST /echo/1 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab"))
        client.send({&c, 1});
    EXPECT_THAT(client.read_answer(), EndsWith("POST /echo/1 ab"));
}

TEST(server, closes_when_the_client_asks_for_it) {
    running_server server(set_up);
    raw_client client(server.port());
    client.send("GET /echo/1 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    EXPECT_THAT(client.read_all(), HasSubstr("\r\nConnection: close\r\n"));
    raw_client old(server.port());
    old.send("GET /echo/1 HTTP/1.0\r\n\r\n");
    EXPECT_THAT(old.read_all(), AllOf(HasSubstr("\r\nConnection: close\r\n"), EndsWith("GET /echo/1 ")));
}

TEST(server, answers_a_client_that_has_ended_its_side) {
    running_server server(set_up);
    raw_client client(server.port());
    client.send(get_echo);
    client.end();
    EXPECT_THAT(client.read_all(), EndsWith("GET /echo/1 "));
}

TEST(server, head_is_answered_without_a_body) {
    running_server server(set_up);
    raw_client client(server.port());
    client.send("HEAD /echo/1 HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_THAT(client.read_until("\r\n\r\n"), HasSubstr("\r\nContent-Length: 13\r\n"));
    client.send("HEAD /stream/three HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_THAT(client.read_until("\r\n\r\n"), HasSubstr("\r\nTransfer-Encoding: chunked\r\n"));
    client.send("HEAD /nowhere HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_THAT(client.read_until("\r\n\r\n"), StartsWith("HTTP/1.1 404 "));
    client.send(get_echo);
    EXPECT_THAT(client.read_answer(), StartsWith("HTTP/1.1 200 OK"));
}

TEST(server, unknown_paths_and_methods_are_answered_in_json) {
    running_server server(set_up);
    raw_client client(server.port());
    client.send("GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_THAT(client.read_answer(), AllOf(StartsWith("HTTP/1.1 404 Not Found"), HasSubstr("application/json"),
                                            HasSubstr(R"("status": 404, "error": "Not Found")")));
    client.send("PUT /echo/1 HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx");
    EXPECT_THAT(client.read_answer(), AllOf(StartsWith("HTTP/1.1 405 "), HasSubstr("\r\nAllow: GET, HEAD, POST\r\n")));
    client.send(get_echo);
    EXPECT_THAT(client.read_answer(), StartsWith("HTTP/1.1 200 OK"));
}

TEST(server, malformed_request_gets_400_and_the_connection_closes) {
    running_server server(set_up);
    for (const char* bytes :
         {"nonsense\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01 TLS hello",
          "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"}) {
        raw_client client(server.port());
        client.send(bytes);
        EXPECT_THAT(client.read_all(), AllOf(StartsWith("HTTP/1.1 400 Bad Request"), HasSubstr("Connection: close"),
                                             HasSubstr(R"("status": 400)")));
    }
}

TEST(server, answer_before_a_malformed_request_arrives) {
    running_server server(set_up);
    raw_client client(server.port());
    client.send(get_echo + "nonsense\r\n\r\n" + std::string(200'000, 'x'));
    EXPECT_THAT(client.read_all(), AllOf(StartsWith("HTTP/1.1 200 OK"), HasSubstr("HTTP/1.1 400 Bad Request")));
}

TEST(server, limits_on_header_and_body_hold) {
    running_server server(set_up, {.max_header_bytes = 1000, .max_body_bytes = 10});
    raw_client long_head(server.port());
    long_head.send("GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(300'000, 'x') + "\r\n\r\n");
    EXPECT_THAT(long_head.read_all(), StartsWith("HTTP/1.1 431 Request Header Fields Too Large"));
    raw_client long_body(server.port());
    long_body.send("POST /echo/1 HTTP/1.1\r\nHost: h\r\nContent-Length: 300000\r\n\r\n" + std::string(300'000, 'x'));
    EXPECT_THAT(long_body.read_all(), StartsWith("HTTP/1.1 413 Content Too Large"));
    raw_client fitting(server.port());
    fitting.send("POST /echo/1 HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n0123456789");
    EXPECT_THAT(fitting.read_answer(), EndsWith("POST /echo/1 0123456789"));
}

TEST(server, slow_head_and_body_get_408) {
    running_server server(set_up, {.header_timeout = 50ms, .body_timeout = 50ms});
    raw_client head(server.port());
    head.send("GET / HTTP/1.1\r\n");
    EXPECT_THAT(head.read_all(), AllOf(StartsWith("HTTP/1.1 408 Request Timeout"), HasSubstr("0.05 s")));
    raw_client body(server.port());
    body.send("POST /echo/1 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\na");
    EXPECT_THAT(body.read_all(), StartsWith("HTTP/1.1 408 Request Timeout"));
}

TEST(server, silent_connections_are_closed) {
    running_server server(set_up, {.header_timeout = 50ms, .keep_alive_timeout = 50ms});
    raw_client silent(server.port());
    EXPECT_EQ(silent.read_all(), "");
    raw_client idle(server.port());
    idle.send(get_echo);
    EXPECT_THAT(idle.read_answer(), StartsWith("HTTP/1.1 200"));
    EXPECT_EQ(idle.read_all(), "");
}

TEST(server, connection_beyond_the_limit_gets_503) {
    running_server server(set_up, {.max_connections = 1});
    raw_client first(server.port());
    first.send(get_echo);
    EXPECT_THAT(first.read_answer(), StartsWith("HTTP/1.1 200"));
    raw_client second(server.port());
    EXPECT_THAT(second.read_all(), StartsWith("HTTP/1.1 503 Service Unavailable"));
    first.send(get_echo);
    EXPECT_THAT(first.read_answer(), StartsWith("HTTP/1.1 200"));
}

TEST(server, connection_that_was_refused_takes_no_place) {
    running_server server(set_up, {.max_connections = 1});
    std::optional<raw_client> first(std::in_place, server.port());
    first->send(get_echo);
    EXPECT_THAT(first->read_answer(), StartsWith("HTTP/1.1 200"));
    raw_client refused(server.port());
    EXPECT_THAT(refused.read_answer(), StartsWith("HTTP/1.1 503"));
    first.reset();
    while (server.connection_count() > 1) std::this_thread::yield();
    raw_client next(server.port());
    next.send(get_echo);
    EXPECT_THAT(next.read_answer(), StartsWith("HTTP/1.1 200"));
}

TEST(server, chunked_request_and_the_one_behind_it_are_answered) {
    running_server server(set_up);
    raw_client client(server.port());
    client.send(
        "POST /echo/1 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nTrailer: t\r\n\r\n" +
        get_echo);
    EXPECT_THAT(client.read_answer(), EndsWith("POST /echo/1 abcdefg"));
    EXPECT_THAT(client.read_answer(), EndsWith("GET /echo/1 "));
}

TEST(server, old_client_that_asks_for_it_keeps_its_connection) {
    running_server server(set_up);
    raw_client client(server.port());
    for (int i = 0; i < 2; ++i) {
        client.send("GET /echo/1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        EXPECT_THAT(client.read_answer(), AllOf(HasSubstr("\r\nConnection: keep-alive\r\n"), EndsWith("GET /echo/1 ")));
    }
    EXPECT_EQ(server.connection_count(), 1U);
}

TEST(server, says_continue_before_it_reads_the_body) {
    running_server server(set_up);
    raw_client client(server.port());
    const std::string fields = " HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    client.send("POST /echo/1" + fields);
    EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("ab");
    EXPECT_THAT(client.read_answer(), EndsWith("POST /echo/1 ab"));
    client.send("POST /nowhere" + fields);
    EXPECT_THAT(client.read_all(), AllOf(StartsWith("HTTP/1.1 404"), HasSubstr("Connection: close")));
}

TEST(server, failed_handler_is_500_without_its_secrets_and_is_reported) {
    const unread_errors errors;
    running_server server(set_up);
    raw_client client(server.port());
    client.send("GET /fail HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_THAT(client.read_answer(),
                AllOf(StartsWith("HTTP/1.1 500 Internal Server Error"), Not(HasSubstr("secret"))));
    EXPECT_EQ(errors.seen, 1);
    client.send(get_echo);
    EXPECT_THAT(client.read_answer(), StartsWith("HTTP/1.1 200"));
}

TEST(server, answer_that_cannot_be_sent_is_500) {
    const unread_errors errors;
    running_server server(set_up);
    raw_client client(server.port());
    for (const char* how : {"status", "header", "length", "205"}) {
        client.send(std::string("GET /strange/") + how + " HTTP/1.1\r\nHost: h\r\n\r\n");
        EXPECT_THAT(client.read_answer(), StartsWith("HTTP/1.1 500 "));
    }
    EXPECT_EQ(errors.seen, 4);
    client.send("GET /strange/empty205 HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_THAT(client.read_answer(), AllOf(StartsWith("HTTP/1.1 205 "), HasSubstr("\r\nContent-Length: 0\r\n")));
}

TEST(server, status_without_a_body_has_none) {
    running_server server(set_up);
    raw_client client(server.port());
    client.send("GET /strange/204 HTTP/1.1\r\nHost: h\r\n\r\n" + get_echo);
    EXPECT_THAT(client.read_until("\r\n\r\n"), AllOf(StartsWith("HTTP/1.1 204"), Not(HasSubstr("Content-Length"))));
    EXPECT_THAT(client.read_answer(), StartsWith("HTTP/1.1 200"));
}

TEST(server, long_body_arrives_whole) {
    running_server server(set_up);
    EXPECT_EQ(get(server.url("/strange/big")).body, std::string(1'000'000, 'b'));
}

TEST(server, streams_in_chunks) {
    running_server server(set_up);
    raw_client client(server.port());
    client.send("GET /stream/three HTTP/1.1\r\nHost: h\r\n\r\n" + get_echo);
    EXPECT_THAT(client.read_until("\r\n\r\n"), HasSubstr("\r\nTransfer-Encoding: chunked\r\n"));
    EXPECT_EQ(client.read_until("0\r\n\r\n"), "3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\n");
    EXPECT_THAT(client.read_answer(), EndsWith("GET /echo/1 "));
}

TEST(server, streams_to_an_old_client_until_it_closes) {
    running_server server(set_up);
    raw_client client(server.port());
    client.send("GET /stream/three HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    EXPECT_THAT(client.read_all(), AllOf(HasSubstr("Connection: close"), EndsWith("\r\n\r\nonetwothree")));
}

TEST(server, failed_stream_is_seen_to_be_incomplete) {
    const unread_errors errors;
    running_server server(set_up);
    EXPECT_THROW(get(server.url("/stream/fails")), error);
    EXPECT_EQ(errors.seen, 1);
}

TEST(server, client_that_takes_nothing_is_cut) {
    const unread_errors errors;
    running_server server(set_up, {.write_timeout = 50ms});
    raw_client client(server.port());
    client.send("GET /stream/much HTTP/1.1\r\nHost: h\r\n\r\n");
    client.read_until("\r\n\r\n");
    // The server cuts by itself: only then has it no connection.
    while (server.connection_count() > 0) std::this_thread::yield();
    EXPECT_EQ(errors.seen, 0);
}

/// Reads so slowly that the whole takes three times the time that the server gives for a piece.
coro<std::size_t> read_slowly_and_steadily() {
    http::server it({.write_timeout = 1s});
    set_up(it);
    co_await it.start();
    asyncio::connection client = co_await asyncio::open_connection("127.0.0.1", it.port());
    client.writer.write("GET /strange/huge HTTP/1.1\r\nHost: h\r\n\r\n");
    const std::string head = co_await client.reader.read_until("\r\n\r\n");
    std::string room(1'000'000, '\0');
    std::size_t total = 0;
    while (total < 40'000'000) {
        const std::size_t count = co_await client.reader.read_some(room);
        if (count == 0) break;
        total += count;
        co_await asyncio::sleep(std::chrono::duration<double>(3.0 * static_cast<double>(count) / 40e6));
    }
    co_return total;
}

TEST(server, client_that_reads_slowly_but_steadily_gets_the_whole_body) {
    EXPECT_EQ(asyncio::run(read_slowly_and_steadily()), 40'000'000U);
}

TEST(server, client_that_goes_in_the_middle_harms_nobody) {
    const unread_errors errors;
    running_server server(set_up);
    {
        raw_client gone(server.port());
        gone.send("GET /stream/much HTTP/1.1\r\nHost: h\r\n\r\n");
        gone.read_until("\r\n\r\n");
        raw_client early(server.port());
        early.send("POST /echo/1 HTTP/1.1\r\nHost: h\r\nContent-Length: 20\r\n\r\nabc");
    }
    while (server.connection_count() > 0) std::this_thread::yield();
    EXPECT_EQ(get(server.url("/echo/1")).status, 200);
    EXPECT_EQ(errors.seen, 0);
}

/// A handler that is let go from outside.
class latch {
public:
    coro<server_response> operator()(server_request) {
        arrived_.set_value();
        co_await opened_->wait();
        co_return text_response("finished");
    }
    void wait_until_arrived() { arrived_.get_future().wait(); }
    asyncio::event* opened_ = nullptr;

private:
    std::promise<void> arrived_;
};

TEST(server, graceful_close_finishes_what_runs_and_sends_home_what_waits) {
    latch handler;
    asyncio::event opened;
    handler.opened_ = &opened;
    running_server server([&](http::server& it) {
        set_up(it);
        it.route("GET", "/latch", [&handler](server_request request) { return handler(std::move(request)); });
    });
    raw_client idle(server.port());
    idle.send(get_echo);
    idle.read_answer();
    raw_client busy(server.port());
    busy.send("GET /latch HTTP/1.1\r\nHost: h\r\n\r\n" + get_echo);
    handler.wait_until_arrived();
    server.begin_close(10s);
    EXPECT_EQ(idle.read_all(), "");
    EXPECT_THROW(get(server.url("/echo/1")), std::system_error);
    server.call([&] { opened.set(); });
    EXPECT_THAT(busy.read_all(), AllOf(HasSubstr("Connection: close"), EndsWith("finished")));
    EXPECT_EQ(server.finish_close(), 0U);
}

coro<void> start_twice(http::server& it) {
    co_await it.start();
    EXPECT_NE(it.port(), 0);
    bool is_refused = false;
    try {
        co_await it.start();
    } catch (const invalid_state_error&) {
        is_refused = true;
    }
    EXPECT_TRUE(is_refused);
}

TEST(server, may_outlive_its_loop) {
    http::server it;
    EXPECT_THROW(static_cast<void>(it.port()), invalid_state_error);
    asyncio::run(start_twice(it));
}

coro<std::size_t> close_unstarted() {
    http::server it;
    co_return co_await it.close();
}

TEST(server, close_without_start_is_nothing) { EXPECT_EQ(asyncio::run(close_unstarted()), 0U); }

coro<void> close_while_starting() {
    http::server it;
    auto starting = asyncio::create_task(it.start());
    co_await it.close();
    std::string refusal;
    try {
        co_await starting;
    } catch (const invalid_state_error& e) {
        refusal = e.what();
    }
    EXPECT_EQ(refusal, "http::server::start: closed meanwhile");
}

TEST(server, start_of_one_that_is_closed_meanwhile_fails) { asyncio::run(close_while_starting()); }

coro<void> cancel_close() {
    http::server it;
    asyncio::event arrived;
    it.route("GET", "/wait", [&](server_request request) {
        arrived.set();
        return wait_for_ever(std::move(request));
    });
    co_await it.start();
    asyncio::connection client = co_await asyncio::open_connection("127.0.0.1", it.port());
    client.writer.write("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
    co_await arrived.wait();
    auto closing = asyncio::create_task(it.close(1h));
    co_await asyncio::sleep(0s);
    closing.cancel();
    bool is_cancelled = false;
    try {
        co_await closing;
    } catch (const cancelled_error&) {
        is_cancelled = true;
    }
    EXPECT_TRUE(is_cancelled);
    bool is_cut = false;
    try {
        const std::string end = co_await client.reader.read();
        is_cut = end.empty();
    } catch (const std::system_error&) {
        is_cut = true;
    }
    EXPECT_TRUE(is_cut);
    while (it.connection_count() > 0) co_await asyncio::sleep(0s);
}

TEST(server, close_that_is_cancelled_cuts_at_once) { asyncio::run(cancel_close()); }

TEST(server, impossible_times_are_refused) {
    EXPECT_THROW(http::server({.header_timeout = -1s}), std::invalid_argument);
}

coro<server_response> add_routes_and_answer(http::server& it) {
    for (int i = 0; i < 100; ++i) it.route("GET", "/added/" + std::to_string(i), echo);
    co_await asyncio::sleep(0s);
    co_return text_response("added");
}

TEST(server, routes_may_be_added_while_a_handler_runs) {
    running_server server(
        [](http::server& it) { it.route("GET", "/add", [&it](server_request) { return add_routes_and_answer(it); }); });
    EXPECT_EQ(get(server.url("/add")).body, "added");
    EXPECT_EQ(get(server.url("/added/7")).status, 200);
}

TEST(server, close_cuts_what_does_not_end_in_time) {
    running_server server(set_up);
    raw_client first(server.port());
    raw_client second(server.port());
    first.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
    second.send("POST /echo/1 HTTP/1.1\r\nHost: h\r\nContent-Length: 20\r\n\r\nabc");
    while (server.connection_count() < 2) std::this_thread::yield();
    server.begin_close(50ms);
    EXPECT_EQ(first.read_all(), "");
    EXPECT_EQ(second.read_all(), "");
    EXPECT_GE(server.finish_close(), 1U);
}

}  // namespace
}  // namespace tercet::http
