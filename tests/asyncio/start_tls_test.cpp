#include <tercet/asyncio.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <utility>

#include "asyncio/runs_on.hpp"
#include "asyncio/stream_pair.hpp"
#include "asyncio/tls_sides.hpp"
#include "asyncio/unread_errors.hpp"

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using testing::HasSubstr;

TEST(tls, start_tls_secures_a_connection_that_is_there) {
    const both_sides tls;
    auto main = [&]() -> coro<> {
        auto offer = [&](stream_reader reader, stream_writer writer) -> coro<> {
            const std::string asked = co_await reader.read_line();
            EXPECT_EQ(asked, "STARTTLS\n");
            writer.write("OK\n");
            co_await writer.start_tls(tls.server);
            co_await echo(std::move(reader), std::move(writer));
        };
        server offering = co_await start_server(offer, "127.0.0.1", 0);
        connection peer = co_await open_connection("127.0.0.1", offering.port());
        EXPECT_FALSE(peer.writer.tls());
        peer.writer.write("STARTTLS\n");
        const std::string answer = co_await peer.reader.read_line();
        EXPECT_EQ(answer, "OK\n");
        co_await peer.writer.start_tls(tls.client, {.server_name = "localhost"});
        EXPECT_TRUE(peer.writer.tls());
        peer.writer.write("secret");
        const std::string same = co_await peer.reader.read_exactly(6);
        EXPECT_EQ(same, "secret");
        try {
            co_await peer.writer.start_tls(tls.client, {.server_name = "localhost"});
            ADD_FAILURE();
        } catch (const tercet::invalid_state_error&) {
        }
        peer.writer.write("still");
        const std::string still = co_await peer.reader.read_exactly(5);
        EXPECT_EQ(still, "still");
    };
    run(main());
}

TEST(tls, commands_put_in_before_start_tls_are_not_taken_for_secured_ones) {
    const unread_errors unread;
    const both_sides tls;
    auto main = [&]() -> coro<> {
        std::string failure;
        event done;
        auto offer = [&](stream_reader reader, stream_writer writer) -> coro<> {
            co_await reader.read_line();
            try {
                co_await writer.start_tls(tls.server);
            } catch (const tls_error& error) {
                failure = error.what();
            }
            done.set();
        };
        server offering = co_await start_server(offer, "127.0.0.1", 0);
        connection peer = co_await open_connection("127.0.0.1", offering.port());
        peer.writer.write("STARTTLS\nMAIL FROM: mallory\n");
        co_await done.wait();
        EXPECT_THAT(failure, HasSubstr("does not speak TLS"));
    };
    run(main());
}

TEST(tls, writing_during_the_handshake_and_wrong_contexts_are_errors) {
    const both_sides tls;
    auto main = [&]() -> coro<> {
        stream_pair both = stream_pair::make();
        auto securing = [&]() -> coro<> { co_await both.writer.start_tls(tls.client, {.server_name = "localhost"}); };
        task<> handshake = create_task(securing());
        co_await sleep(0s);
        EXPECT_THROW(both.writer.write("x"), tercet::invalid_state_error);
        handshake.cancel();
        bool is_cancelled = false;
        try {
            co_await handshake;
        } catch (const tercet::cancelled_error&) {
            is_cancelled = true;
        }
        EXPECT_TRUE(is_cancelled);
        EXPECT_TRUE(both.writer.is_closing());
        int wrong = 0;
        for (int kind = 0; kind < 3; ++kind) {
            try {
                if (kind == 0)
                    co_await open_connection("127.0.0.1", 1, {.tls = &tls.server});
                else if (kind == 1)
                    co_await start_server(&echo, "127.0.0.1", 0, {.tls = &tls.client});
                else
                    co_await both.near_writer.start_tls(tls.client);
            } catch (const std::invalid_argument&) {
                ++wrong;
            }
        }
        EXPECT_EQ(wrong, 3);
    };
    run(main());
}
