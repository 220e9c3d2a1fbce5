#include <tercet/asyncio.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <exception>
#include <string>
#include <system_error>
#include <vector>

#include "asyncio/few_descriptors.hpp"
#include "asyncio/open_descriptors.hpp"
#include "asyncio/runs_on.hpp"

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using testing::AnyOf;
using testing::HasSubstr;

namespace {

/// A port on which nobody listens.
std::uint16_t free_port() {
    const int probe = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(probe, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    const std::uint16_t port = socket_address::local_of(probe).port();
    ::close(probe);
    return port;
}

}  // namespace

TEST(open_connection, refused_names_call_and_address) {
    const std::uint16_t port = free_port();
    auto main = [&]() -> coro<> { co_await open_connection("127.0.0.1", port); };
    try {
        run(main());
        ADD_FAILURE();
    } catch (const std::system_error& error) {
        EXPECT_EQ(error.what(), "connect 127.0.0.1:" + std::to_string(port) + ": Connection refused");
        EXPECT_EQ(error.code(), std::errc::connection_refused);
    }
}

TEST(open_connection, without_descriptors_it_fails_by_name_and_recovers) {
    if (runs_on(loop_backend::sim)) GTEST_SKIP() << "its network has no descriptors";
    auto main = []() -> coro<> {
        auto ignore = [](stream_reader, stream_writer) -> coro<> { co_return; };
        const server listening = co_await start_server(ignore, "127.0.0.1", 0);
        // UBSan needs descriptors to look at an object of a type that it has not met: what makes the text of an error
        // is met here, and the error is looked at later.
        try {
            co_await open_connection("127.0.0.1", free_port());
        } catch (const std::system_error& refused) {
            EXPECT_EQ(refused.code(), std::errc::connection_refused);
        }
        std::exception_ptr failure;
        {
            const few_descriptors none;
            try {
                co_await open_connection("127.0.0.1", listening.port());
            } catch (...) {
                failure = std::current_exception();
            }
        }
        try {
            if (failure) std::rethrow_exception(failure);
            ADD_FAILURE();
        } catch (const std::system_error& error) {
            EXPECT_EQ(error.code(), std::errc::too_many_files_open);
            EXPECT_THAT(error.what(), HasSubstr("127.0.0.1:" + std::to_string(listening.port())));
        }
        const connection peer = co_await open_connection("127.0.0.1", listening.port());
    };
    run(main());
}

TEST(open_connection, all_addresses_of_a_name_are_tried_and_named) {
    const std::uint16_t port = free_port();
    auto main = [&]() -> coro<> { co_await open_connection("localhost", port); };
    try {
        run(main());
        ADD_FAILURE();
    } catch (const std::system_error& error) {
        EXPECT_THAT(error.what(), HasSubstr("127.0.0.1:" + std::to_string(port)));
        EXPECT_EQ(error.code(), std::errc::connection_refused);
    }
}

TEST(open_connection, a_name_that_does_not_resolve_says_so) {
    auto main = []() -> coro<> { co_await open_connection("nosuch.invalid", 80); };
    try {
        run(main());
        ADD_FAILURE();
    } catch (const std::system_error& error) {
        EXPECT_THAT(error.what(), AnyOf(HasSubstr("resolve nosuch.invalid: Name or service not known"),
                                        HasSubstr("resolve nosuch.invalid: Temporary failure")));
    }
}

TEST(open_connection, cancelled_it_leaves_no_descriptor) {
    if (runs_on(loop_backend::sim)) GTEST_SKIP() << "the listener of this test is one of the kernel";
    auto main = []() -> coro<> {
        // A listener whose queue is full does not answer: connecting to it hangs.
        const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        EXPECT_EQ(::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
        EXPECT_EQ(::listen(listener, 0), 0);
        const std::uint16_t port = socket_address::local_of(listener).port();
        std::vector<connection> filling;
        int timeouts = 0;
        const auto before = open_descriptors();
        for (int i = 0; i < 4; ++i) {
            try {
                connection made = co_await timeout(5ms, open_connection("127.0.0.1", port));
                filling.push_back(std::move(made));
            } catch (const tercet::timeout_error&) {
                ++timeouts;
            }
        }
        EXPECT_GT(timeouts, 0);
        EXPECT_EQ(open_descriptors(), before + static_cast<std::ptrdiff_t>(filling.size()));
        ::close(listener);
    };
    run(main());
}
