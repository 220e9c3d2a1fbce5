#include "asyncio/happy_eyeballs.hpp"

#include <tercet/asyncio.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstddef>
#include <string>
#include <system_error>
#include <vector>

#include "asyncio/open_descriptors.hpp"
#include "asyncio/runs_on.hpp"
#include "asyncio/stream_pair.hpp"

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using testing::ElementsAre;

namespace {

constexpr std::chrono::nanoseconds one_after_the_other = std::chrono::nanoseconds::max();

socket_address loopback(std::uint16_t port = 0) { return socket_address::from_numeric("127.0.0.1", port).value(); }

int bound_socket() {
    const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const socket_address address = loopback();
    EXPECT_EQ(::bind(descriptor, address.data(), address.size()), 0);
    return descriptor;
}

/// An address that does not answer: its queue is full.
class silent_address {
public:
    silent_address() : listening_(bound_socket()), address_(socket_address::local_of(listening_)) {
        EXPECT_EQ(::listen(listening_, 0), 0);
        filling_ = bound_socket();
        static_cast<void>(::connect(filling_, address_.data(), address_.size()));
    }
    silent_address(const silent_address&) = delete;
    silent_address& operator=(const silent_address&) = delete;
    ~silent_address() {
        ::close(filling_);
        ::close(listening_);
    }
    const socket_address& get() const noexcept { return address_; }

private:
    int listening_;
    int filling_;
    socket_address address_;
};

/// An address at which nobody listens, as long as this is there.
class refusing_address {
public:
    refusing_address() : descriptor_(bound_socket()) {}
    refusing_address(const refusing_address&) = delete;
    refusing_address& operator=(const refusing_address&) = delete;
    ~refusing_address() { ::close(descriptor_); }
    socket_address get() const noexcept { return socket_address::local_of(descriptor_); }

private:
    int descriptor_;
};

coro<stream_pointer> connect_to_either(socket_address first, socket_address second, std::chrono::nanoseconds delay) {
    return connect_to_first({first, second}, delay, stream_socket::default_limit, "name:80");
}

}  // namespace

TEST(happy_eyeballs, families_take_turns_in_the_order_of_each) {
    const auto v4 = [](std::uint16_t port) { return socket_address::from_numeric("127.0.0.1", port).value(); };
    const auto v6 = [](std::uint16_t port) { return socket_address::from_numeric("::1", port).value(); };
    EXPECT_THAT(interleave_families({v6(1), v6(2), v6(3), v4(1), v4(2)}),
                ElementsAre(v6(1), v4(1), v6(2), v4(2), v6(3)));
    EXPECT_THAT(interleave_families({v4(1), v4(2)}), ElementsAre(v4(1), v4(2)));
}

TEST(happy_eyeballs, an_address_that_is_silent_does_not_hold_up_the_next) {
    if (runs_on(loop_backend::sim)) GTEST_SKIP() << "the addresses of this test are sockets of the kernel";
    const silent_address silent;
    auto main = [&]() -> coro<> {
        server echo_server = co_await start_server(&echo, "127.0.0.1", 0);
        const auto before = open_descriptors();
        {
            stream_pointer stream = co_await connect_to_either(silent.get(), loopback(echo_server.port()), 2ms);
            EXPECT_EQ(stream->peer().port(), echo_server.port());
            while (echo_server.client_count() == 0) co_await sleep(0s);
            EXPECT_EQ(open_descriptors(), before + 2) << "ours and the server's, and no loser's";
        }
    };
    run(main());
}

TEST(happy_eyeballs, when_one_fails_the_next_is_tried_at_once) {
    const refusing_address refusing;
    auto main = [&]() -> coro<> {
        server echo_server = co_await start_server(&echo, "127.0.0.1", 0);
        stream_pointer stream =
            co_await connect_to_either(refusing.get(), loopback(echo_server.port()), one_after_the_other);
        EXPECT_EQ(stream->peer().port(), echo_server.port());
    };
    run(main());
}

TEST(happy_eyeballs, when_all_fail_each_is_named_with_its_error) {
    if (runs_on(loop_backend::sim)) GTEST_SKIP() << "the addresses of this test are sockets of the kernel";
    const refusing_address first;
    const refusing_address second;
    const auto before = open_descriptors();
    auto main = [&]() -> coro<> {
        const auto nowhere = socket_address::from_numeric("255.255.255.255", 9).value();
        std::vector<socket_address> all{first.get(), nowhere, second.get()};
        co_await connect_to_first(std::move(all), one_after_the_other, stream_socket::default_limit, "name:80");
    };
    try {
        run(main());
        ADD_FAILURE();
    } catch (const std::system_error& error) {
        EXPECT_EQ(error.code(), std::errc::connection_refused);
        EXPECT_EQ(error.what(), "connect name:80 (tried " + first.get().to_string() +
                                    ": Connection refused, 255.255.255.255:9: Network is unreachable, " +
                                    second.get().to_string() + ": Connection refused): Connection refused");
    }
    EXPECT_EQ(open_descriptors(), before);
}

TEST(happy_eyeballs, of_two_that_answer_in_one_turn_one_is_closed) {
    if (runs_on(loop_backend::sim)) GTEST_SKIP() << "the addresses of this test are sockets of the kernel";
    auto main = []() -> coro<> {
        server echo_server = co_await start_server(&echo, "127.0.0.1", 0);
        const auto before = open_descriptors();
        stream_pointer stream =
            co_await connect_to_either(loopback(echo_server.port()), loopback(echo_server.port()), 0ns);
        EXPECT_TRUE(stream->is_open());
        // The server learns by reading that the other is gone.
        while (echo_server.client_count() != 1) co_await sleep(0s);
        EXPECT_EQ(open_descriptors(), before + 2);
    };
    run(main());
}

TEST(happy_eyeballs, cancelled_it_leaves_no_descriptor) {
    if (runs_on(loop_backend::sim)) GTEST_SKIP() << "the addresses of this test are sockets of the kernel";
    const silent_address first;
    const silent_address second;
    auto main = [&]() -> coro<> {
        const auto before = open_descriptors();
        try {
            co_await timeout(5ms, connect_to_either(first.get(), second.get(), 1ms));
            ADD_FAILURE();
        } catch (const tercet::timeout_error&) {
        }
        EXPECT_EQ(open_descriptors(), before);
        EXPECT_EQ(all_tasks().size(), 1U);
    };
    run(main());
}

TEST(happy_eyeballs, a_negative_delay_is_refused) {
    auto main = []() -> coro<> { co_await open_connection("127.0.0.1", 9, {.happy_eyeballs_delay = -1ns}); };
    EXPECT_THROW(run(main()), std::invalid_argument);
}
