#include <tercet/asyncio.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sanitizers.hpp>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <string>

#include "asyncio/few_descriptors.hpp"
#include "asyncio/open_descriptors.hpp"
#include "asyncio/temporary_directory.hpp"

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using tercet::invalid_state_error;
using testing::HasSubstr;

namespace {

coro<> echo_once(const datagram_socket& socket) {
    const datagram got = co_await socket.receive_from();
    co_await socket.send_to(got.data, got.from);
}

template <class Error, class T>
coro<std::string> text_of_error(coro<T> failing) {
    try {
        co_await std::move(failing);
    } catch (const Error& error) {
        co_return error.what();
    }
    co_return "no error";
}

coro<datagram> receive(const datagram_socket& from) { co_return co_await from.receive_from(); }

}  // namespace

TEST(datagram_socket, an_echo_finds_its_way_back) {
    const auto before = open_descriptors();
    auto main = []() -> coro<> {
        for (const char* host : {"127.0.0.1", "::1"}) {
            const datagram_socket server = co_await bind_datagram(host, 0);
            const auto at = server.local_address();
            EXPECT_GT(at.port(), 0);
            const datagram_socket client = co_await connect_datagram(host, at.port());
            EXPECT_EQ(client.peer_address(), at);
            EXPECT_EQ(server.peer_address().size(), 0U);
            task<> serving = create_task(echo_once(server));
            co_await client.send("hello");
            const datagram back = co_await client.receive_from();
            EXPECT_EQ(back.data, "hello");
            EXPECT_EQ(back.from, at);
            co_await serving;
        }
    };
    run(main());
    EXPECT_EQ(open_descriptors(), before);
}

TEST(datagram_socket, empty_and_largest_messages_arrive_whole_and_larger_ones_are_refused) {
    auto main = []() -> coro<> {
        const datagram_socket server = co_await bind_datagram("127.0.0.1", 0);
        const datagram_socket client = co_await bind_datagram("127.0.0.1", 0);
        const auto at = server.local_address();
        co_await client.send_to("", at);
        const datagram empty = co_await server.receive_from();
        EXPECT_EQ(empty.data, "");
        EXPECT_EQ(empty.from, client.local_address());
        const std::string largest(65507, 'x');
        co_await client.send_to(largest, at);
        const datagram whole = co_await server.receive_from();
        EXPECT_TRUE(whole.data == largest);
        auto send = [&]() -> coro<> { co_await client.send_to(std::string_view(std::string(65508, 'x')), at); };
        const std::string text = co_await text_of_error<std::system_error>(send());
        EXPECT_EQ(text, "send " + at.to_string() + ": Message too long");
    };
    run(main());
}

TEST(datagram_socket, never_cuts_a_message_in_silence) {
    auto main = []() -> coro<> {
        const datagram_socket server = co_await bind_datagram("127.0.0.1", 0);
        const datagram_socket client = co_await connect_datagram("127.0.0.1", server.local_address().port());
        co_await client.send("0123456789");
        co_await client.send("next");
        auto small = [&]() -> coro<> { co_await server.receive_from(9); };
        const std::string text = co_await text_of_error<std::system_error>(small());
        EXPECT_EQ(text, "receive " + server.local_address().to_string() + ": Message too long");
        std::array<char, 4> room{};
        const received_datagram fits = co_await server.receive_into(room);
        EXPECT_EQ(std::string(room.data(), room.size()), "next");
        EXPECT_EQ(fits.size, 4U);
        EXPECT_FALSE(fits.is_truncated);
        co_await client.send("0123456789");
        const received_datagram cut = co_await server.receive_into(room);
        EXPECT_EQ(std::string(room.data(), room.size()), "0123");
        EXPECT_EQ(cut.size, 10U);
        EXPECT_TRUE(cut.is_truncated);
        EXPECT_EQ(cut.from, client.local_address());
    };
    run(main());
}

TEST(datagram_socket, a_refused_message_is_an_error_of_the_next_call_and_the_socket_goes_on) {
    auto main = []() -> coro<> {
        datagram_socket server = co_await bind_datagram("127.0.0.1", 0);
        const auto at = server.local_address();
        server.close();
        const datagram_socket client = co_await connect_datagram("127.0.0.1", at.port());
        co_await client.send("to nobody");
        const std::string text = co_await text_of_error<std::system_error>(receive(client));
        EXPECT_EQ(text, "receive " + at.to_string() + ": Connection refused");
        const datagram_socket again = open_datagram(at, {});
        for (int i = 0; i < 3; ++i) {
            task<> serving = create_task(echo_once(again));
            co_await client.send("hello");
            const datagram back = co_await client.receive_from();
            EXPECT_EQ(back.data, "hello");
            co_await serving;
        }
    };
    run(main());
}

TEST(datagram_socket, unix_sockets_with_names_answer_and_their_files_go) {
    const temporary_directory where;
    auto main = [&]() -> coro<> {
        const auto at = socket_address::from_path(where / "server");
        const auto from = socket_address::from_path(where / "client");
        datagram_socket server = open_datagram(at, {});
        {
            const datagram_socket client = open_datagram(from, at);
            task<> serving = create_task(echo_once(server));
            const std::string large(100'000, 'x');
            co_await client.send(large);
            const datagram back = co_await client.receive_from();
            EXPECT_TRUE(back.data == large);
            EXPECT_EQ(back.from, at);
            co_await serving;
        }
        EXPECT_FALSE(std::filesystem::exists(where / "client"));
        const datagram_socket nameless = open_datagram({}, at);
        co_await nameless.send("x");
        const datagram got = co_await server.receive_from();
        EXPECT_EQ(got.from.path(), "");
        EXPECT_THROW(open_datagram(at, {}), std::system_error);
        std::filesystem::remove(where / "server");
        const datagram_socket replaced = open_datagram(at, {});
        server.close();
        EXPECT_TRUE(std::filesystem::exists(where / "server"));
    };
    run(main());
    EXPECT_FALSE(std::filesystem::exists(where / "server"));
}

TEST(datagram_socket, a_send_waits_while_the_queue_is_full) {
    auto main = []() -> coro<> {
        std::string name(1, '\0');
        name += "tercet-test-" + std::to_string(::getpid());
        const auto at = socket_address::from_path(name);
        const datagram_socket server = open_datagram(at, {});
        const datagram_socket client = open_datagram({}, at);
        constexpr int messages = 500;  // more than the queue of a unix socket takes
        int sent = 0;
        auto send = [&]() -> coro<> {
            for (; sent < messages; ++sent) co_await client.send(std::to_string(sent));
        };
        task<> sending = create_task(send());
        for (int i = 0; i < 5; ++i) co_await sleep(1ms);
        EXPECT_LT(sent, messages);
        for (int i = 0; i < messages; ++i) {
            const datagram got = co_await server.receive_from();
            EXPECT_EQ(got.data, std::to_string(i));
        }
        co_await sending;
    };
    run(main());
}

TEST(datagram_socket, a_receiver_without_room_that_is_no_peer_is_an_error_and_no_hang) {
    const temporary_directory where;
    auto main = [&]() -> coro<> {
        const auto at = socket_address::from_path(where / "server");
        const datagram_socket server = open_datagram(at, {});
        const datagram_socket client = open_datagram(socket_address::from_path(where / "client"), {});
        auto send = [&]() -> coro<> {
            for (int i = 0; i < 1000; ++i) co_await client.send_to("x", at);
        };
        const std::string text = co_await text_of_error<std::system_error>(send());
        EXPECT_EQ(text, "send " + at.to_string() + ": Resource temporarily unavailable");
        co_await server.receive_from();
        co_await client.send_to("there is room", at);
    };
    run(main());
}

TEST(datagram_socket, options_reach_the_kernel) {
    auto main = []() -> coro<> {
        const datagram_socket closed_to_others = co_await bind_datagram("127.0.0.1", 0);
        const std::uint16_t taken = closed_to_others.local_address().port();
        const std::string text = co_await text_of_error<std::system_error>(bind_datagram("127.0.0.1", taken));
        EXPECT_EQ(text, "bind 127.0.0.1:" + std::to_string(taken) + ": Address already in use");
        const datagram_socket one = co_await bind_datagram("127.0.0.1", 0, {.reuse_port = true});
        const datagram_socket other =
            co_await bind_datagram("127.0.0.1", one.local_address().port(), {.reuse_port = true});
        EXPECT_EQ(one.local_address(), other.local_address());
        const auto everybody = *socket_address::from_numeric("255.255.255.255", 9);
        auto send = [&]() -> coro<> { co_await closed_to_others.send_to("x", everybody); };
        const std::string refused = co_await text_of_error<std::system_error>(send());
        EXPECT_EQ(refused, "send 255.255.255.255:9: Permission denied");
        const auto local = *socket_address::from_numeric("127.0.0.1", 0);
        const auto loopback_broadcast = *socket_address::from_numeric("127.255.255.255", 9);
        const datagram_socket allowed = open_datagram(local, {}, {.broadcast = true, .receive_buffer = 100'000});
        co_await allowed.send_to("x", loopback_broadcast);
    };
    run(main());
}

TEST(datagram_socket, closing_ends_waits_and_a_second_receiver_is_refused) {
    auto main = []() -> coro<> {
        datagram_socket server = co_await bind_datagram("127.0.0.1", 0);
        task<datagram> first = create_task(receive(server));
        co_await sleep(0s);
        const std::string busy = co_await text_of_error<invalid_state_error>(receive(server));
        EXPECT_THAT(busy, HasSubstr("another coroutine"));
        server.close();
        EXPECT_FALSE(server.is_open());
        auto join = [&]() -> coro<datagram> { co_return co_await first; };
        const std::string closed = co_await text_of_error<std::system_error>(join());
        EXPECT_THAT(closed, HasSubstr("connection abort"));
        const std::string later = co_await text_of_error<std::system_error>(receive(server));
        EXPECT_THAT(later, HasSubstr("connection abort"));
        const datagram_socket moved = std::move(server);
        EXPECT_THROW(server.local_address(), invalid_state_error);
    };
    run(main());
}

TEST(datagram_socket, without_descriptors_opening_fails_by_name_and_leaves_nothing) {
    if (is_under_address_sanitizer) GTEST_SKIP() << "UBSan's check of virtual tables opens a pipe of its own";
    auto main = []() -> coro<> {
        const auto before = open_descriptors();
        {
            const few_descriptors none;
            const std::string text = co_await text_of_error<std::system_error>(bind_datagram("127.0.0.1", 0));
            EXPECT_EQ(text, "open_datagram 127.0.0.1:0: Too many open files");
        }
        const std::string taken = co_await text_of_error<std::system_error>(bind_datagram("192.0.2.1", 9));
        EXPECT_EQ(taken, "bind 192.0.2.1:9: Cannot assign requested address");
        EXPECT_THROW(open_datagram({}, {}), std::invalid_argument);
        EXPECT_EQ(open_descriptors(), before);
    };
    run(main());
}
