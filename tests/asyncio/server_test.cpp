#include <tercet/asyncio.hpp>

#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "asyncio/open_descriptors.hpp"
#include "asyncio/runs_on.hpp"
#include "asyncio/stream_pair.hpp"
#include "asyncio/unread_errors.hpp"
#include "sanitizers.hpp"

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using testing::HasSubstr;

namespace {

template <class Function>
Function* next_in_line(const char* name) {
    return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

std::atomic<int> binds_that_fail{0};  // to a port that the caller names

}  // namespace

/// Stands before that of the C library.
extern "C" int bind(int descriptor, const sockaddr* address, socklen_t size) noexcept {
    static auto* const real = next_in_line<int(int, const sockaddr*, socklen_t)>("bind");
    if (socket_address(address, size).port() != 0 && binds_that_fail > 0) {
        --binds_that_fail;
        errno = EADDRINUSE;
        return -1;
    }
    return real(descriptor, address, size);
}

TEST(server, listens_once_on_an_address_that_a_name_has_twice) {
    auto main = []() -> coro<> {
        for (int port = 0, round = 0; round < 2; ++round) {
            server listening = co_await start_server(&echo, "twice.test", static_cast<std::uint16_t>(port));
            EXPECT_EQ(listening.addresses().size(), 1U);
            port = listening.port();
        }
    };
    run(main());
}

TEST(server, chooses_another_port_when_its_first_choice_is_taken_at_another_address) {
    if (runs_on(loop_backend::sim)) GTEST_SKIP() << "a simulated name has one address";
    auto main = []() -> coro<> {
        binds_that_fail = 2;
        server listening = co_await start_server(&echo, "both.test", 0);
        EXPECT_EQ(binds_that_fail, 0);
        const auto addresses = listening.addresses();
        EXPECT_EQ(addresses.size(), 2U);
        EXPECT_EQ(addresses.front().port(), addresses.back().port());
        listening.close();
        binds_that_fail = 2;
        try {
            co_await start_server(&echo, "both.test", addresses.front().port());
            ADD_FAILURE();
        } catch (const std::system_error& error) {
            EXPECT_EQ(error.code().value(), EADDRINUSE);
        }
        EXPECT_EQ(binds_that_fail, 1);
        binds_that_fail = 0;
    };
    run(main());
}

TEST(server, wait_closed_waits_for_the_handlers_and_close_clients_ends_them) {
    const unread_errors unread;
    auto main = []() -> coro<> {
        server echo_server = co_await start_server(&echo, "127.0.0.1", 0);
        connection peer = co_await open_connection("127.0.0.1", echo_server.port());
        peer.writer.write("x");
        co_await peer.reader.read_exactly(1);
        EXPECT_EQ(echo_server.client_count(), 1U);
        echo_server.close();
        auto wait = [&]() -> coro<> { co_await echo_server.wait_closed(); };
        task<> closed = create_task(wait());
        co_await sleep(2ms);
        EXPECT_FALSE(closed.done());
        echo_server.close_clients();
        co_await closed;
        const std::string end = co_await peer.reader.read();
        EXPECT_EQ(end, "");
    };
    run(main());
    EXPECT_THAT(unread.texts(), testing::IsEmpty());
}

TEST(server, abort_clients_resets_the_connections) {
    const unread_errors unread;
    auto main = []() -> coro<> {
        server echo_server = co_await start_server(&echo, "127.0.0.1", 0);
        connection peer = co_await open_connection("127.0.0.1", echo_server.port());
        peer.writer.write("x");
        co_await peer.reader.read_exactly(1);
        echo_server.close();
        echo_server.abort_clients();
        co_await echo_server.wait_closed();
        try {
            co_await peer.reader.read(1);
            ADD_FAILURE();
        } catch (const std::system_error& error) {
            EXPECT_EQ(error.code().value(), ECONNRESET);
        }
    };
    run(main());
    EXPECT_THAT(unread.texts(), testing::IsEmpty());
}

TEST(server, close_frees_the_port_at_once) {
    auto main = []() -> coro<> {
        server first = co_await start_server(&echo, "127.0.0.1", 0);
        const std::uint16_t port = first.port();
        first.close();
        server second = co_await start_server(&echo, "127.0.0.1", port);
        EXPECT_EQ(second.port(), port);
        try {
            co_await start_server(&echo, "127.0.0.1", port);
            ADD_FAILURE();
        } catch (const std::system_error& error) {
            EXPECT_EQ(error.what(), "listen 127.0.0.1:" + std::to_string(port) + ": Address already in use");
        }
    };
    run(main());
}

TEST(server, two_share_a_port_when_both_ask_for_it) {
    auto main = []() -> coro<> {
        server first = co_await start_server(&echo, "127.0.0.1", 0, {.reuse_port = true});
        server second = co_await start_server(&echo, "127.0.0.1", first.port(), {.reuse_port = true});
        EXPECT_EQ(first.port(), second.port());
    };
    run(main());
}

TEST(server, serve_forever_ends_by_close_or_closes_when_it_is_cancelled) {
    auto main = []() -> coro<> {
        server first = co_await start_server(&echo, "127.0.0.1", 0);
        get_running_loop().call_later(1ms, [&] { first.close(); });
        co_await first.serve_forever();
        server second = co_await start_server(&echo, "127.0.0.1", 0);
        try {
            co_await timeout(1ms, second.serve_forever());
            ADD_FAILURE();
        } catch (const tercet::timeout_error&) {
        }
        EXPECT_TRUE(second.is_closed());
    };
    run(main());
}

TEST(server, may_be_moved_while_it_serves) {
    auto main = []() -> coro<> {
        server first = co_await start_server(&echo, "127.0.0.1", 0);
        task<> serving = create_task(first.serve_forever());
        co_await sleep(0s);
        server second = std::move(first);
        serving.cancel();
        bool is_cancelled = false;
        try {
            co_await serving;
        } catch (const tercet::cancelled_error&) {
            is_cancelled = true;
        }
        EXPECT_TRUE(is_cancelled);
        EXPECT_TRUE(second.is_closed());
    };
    run(main());
}

TEST(server, an_error_of_a_handler_goes_to_the_exception_handler_and_the_server_goes_on) {
    auto main = []() -> coro<> {
        std::vector<std::string> errors;
        get_running_loop().set_exception_handler([&](const std::exception_ptr& error, std::string_view origin) {
            errors.push_back(std::string(origin) + ": " + tercet::describe(error));
        });
        auto fail = [](stream_reader, stream_writer) -> coro<> {
            throw std::runtime_error("handler failed");
            co_return;
        };
        server failing = co_await start_server(fail, "127.0.0.1", 0);
        for (int i = 0; i < 2; ++i) {
            connection peer = co_await open_connection("127.0.0.1", failing.port());
            const std::string end = co_await peer.reader.read();
            EXPECT_EQ(end, "");
        }
        EXPECT_EQ(errors.size(), 2U);
        EXPECT_THAT(errors.front(), testing::AllOf(HasSubstr("127.0.0.1"), HasSubstr("handler failed")));
    };
    run(main());
}

TEST(server, accepting_pauses_without_descriptors_and_recovers) {
    if (runs_on(loop_backend::sim)) GTEST_SKIP() << "simulated sockets need no descriptors";
    if (is_under_address_sanitizer) GTEST_SKIP() << "UBSan's check of virtual tables opens a pipe of its own";
    const unread_errors unread;
    auto main = []() -> coro<> {
        server echo_server = co_await start_server(&echo, "127.0.0.1", 0);
        // The client's side connects first, then every descriptor is taken before the server's turn to accept.
        const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        const auto address = *socket_address::from_numeric("127.0.0.1", echo_server.port());
        static_cast<void>(::connect(client, address.data(), address.size()));
        std::vector<int> all;
        const int original = ::dup(client);
        for (int next = ::dup(original); next >= 0; next = ::dup(original)) all.push_back(next);
        EXPECT_EQ(errno, EMFILE);
        co_await sleep(20ms);
        EXPECT_EQ(echo_server.client_count(), 0U);
        for (const int each : all) ::close(each);
        ::close(original);
        stream_pointer stream = stream_pair::stream_of(client);
        stream_writer writer(stream);
        writer.write("x");
        const std::string answer = co_await timeout(5s, stream_reader(stream).read_exactly(1));
        EXPECT_EQ(answer, "x");
    };
    run(main());
    EXPECT_THAT(unread.texts(), testing::ElementsAre(HasSubstr("Too many open files")));
}

TEST(server, a_thousand_connections_come_and_go_and_nothing_is_left) {
    auto main = []() -> coro<> {
        server echo_server = co_await start_server(&echo, "127.0.0.1", 0);
        const auto before = open_descriptors();
        auto talk = [&]() -> coro<> {
            connection peer = co_await open_connection("127.0.0.1", echo_server.port());
            for (int i = 0; i < 5; ++i) {
                peer.writer.write("hello\n");
                const std::string line = co_await peer.reader.read_line();
                EXPECT_EQ(line, "hello\n");
            }
        };
        for (int round = 0; round < 10; ++round) {
            std::vector<coro<>> talks;
            for (int i = 0; i < 100; ++i) talks.push_back(talk());
            co_await gather(std::move(talks));
        }
        while (echo_server.client_count() > 0) co_await sleep(1ms);
        EXPECT_EQ(open_descriptors(), before);
        EXPECT_EQ(all_tasks().size(), 2U);
    };
    run(main());
}

TEST(server, handlers_that_run_when_the_loop_ends_are_cancelled_and_their_sockets_closed) {
    const auto before = open_descriptors();
    auto main = []() -> coro<> {
        server echo_server = co_await start_server(&echo, "127.0.0.1", 0);
        connection peer = co_await open_connection("127.0.0.1", echo_server.port());
        peer.writer.write("x");
        co_await peer.reader.read_exactly(1);
    };
    run(main());
    EXPECT_EQ(open_descriptors(), before);
}
