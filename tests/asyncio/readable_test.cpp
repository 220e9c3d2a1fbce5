#include <tercet/asyncio.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "asyncio/stream_pair.hpp"

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using testing::HasSubstr;

TEST(streams, readable_takes_nothing_and_try_read_some_does_not_wait) {
    auto main = []() -> coro<> {
        stream_pair both = stream_pair::make();
        std::array<char, 8> room{};
        EXPECT_EQ(both.reader.try_read_some(room), std::nullopt);
        auto wait = [&]() -> coro<> { co_await both.reader.readable(); };
        const task<> waiting = create_task(wait());
        co_await sleep(0s);
        EXPECT_FALSE(waiting.done());
        both.writer.write("seven\nmore");
        co_await waiting;
        co_await both.reader.readable();
        const std::string line = co_await both.reader.read_line();
        EXPECT_EQ(line, "seven\n");
        co_await both.reader.readable();
        EXPECT_EQ(both.reader.try_read_some(room), std::optional<std::size_t>(4)) << "what read_line has left";
        EXPECT_EQ(std::string(room.data(), 4), "more");
        EXPECT_EQ(both.reader.try_read_some(room), std::nullopt);
        both.writer.close();
        co_await both.reader.readable();
        EXPECT_EQ(both.reader.try_read_some(room), std::optional<std::size_t>(0)) << "the end";
        EXPECT_TRUE(both.reader.at_eof());
        co_await both.reader.readable();
        EXPECT_EQ(both.reader.try_read_some(room), std::optional<std::size_t>(0)) << "and again";
    };
    run(main());
}

TEST(streams, readable_and_try_read_some_belong_to_one_reader_and_end_when_the_stream_is_closed_here) {
    auto main = []() -> coro<> {
        stream_pair both = stream_pair::make();
        std::array<char, 8> room{};
        EXPECT_EQ(both.reader.try_read_some(room), std::nullopt);
        auto read = [&]() -> coro<> {
            const std::string line = co_await both.reader.read_line();
            EXPECT_EQ(line, "a line\n");
        };
        const task<> reads = create_task(read());
        co_await sleep(0s);
        EXPECT_THROW(static_cast<void>(both.reader.try_read_some(room)), tercet::invalid_state_error);
        bool was_refused = false;
        try {
            co_await both.reader.readable();
        } catch (const tercet::invalid_state_error&) {
            was_refused = true;
        }
        EXPECT_TRUE(was_refused);
        both.writer.write("a line\n");
        co_await reads;
        auto wait = [&]() -> coro<> { co_await both.reader.readable(); };
        task<> waits = create_task(wait());
        co_await sleep(0s);
        both.near_writer.close();
        std::string error;
        try {
            co_await waits;
        } catch (const std::system_error& closed) {
            error = closed.what();
        }
        EXPECT_THAT(error, HasSubstr("abort"));
        EXPECT_THROW(static_cast<void>(both.reader.try_read_some(room)), std::system_error);
    };
    run(main());
}

TEST(streams, one_buffer_serves_many_connections) {
    constexpr int connections = 40;
    std::array<char, 64> shared{};
    auto serve = [&](stream_reader reader, stream_writer writer) -> coro<> {
        for (;;) {
            co_await reader.readable();
            const auto count = reader.try_read_some(shared);
            if (count == 0) co_return;
            if (count) writer.write(std::string_view(shared.data(), *count));
            co_await writer.drain();
        }
    };
    auto main = [&]() -> coro<> {
        server listening = co_await start_server(serve, "127.0.0.1", 0);
        auto talk = [&](int number) -> coro<> {
            connection peer = co_await open_connection("127.0.0.1", listening.port());
            for (int i = 0; i < 20; ++i) {
                const std::string sent = std::to_string(1000 * number + i) + "\n";
                peer.writer.write(sent);
                const std::string got = co_await peer.reader.read_line();
                EXPECT_EQ(got, sent);
            }
        };
        std::vector<coro<>> talks;
        for (int i = 0; i < connections; ++i) talks.push_back(talk(i));
        co_await gather(std::move(talks));
        listening.close();
        co_await listening.wait_closed();
    };
    run(main());
}

TEST(streams, a_connection_that_is_ended_while_its_event_waits_for_its_turn_is_left_alone) {
    static constexpr std::size_t connections = 40;
    auto main = []() -> coro<> {
        std::vector<stream_pair> pairs;
        for (std::size_t i = 0; i < connections; ++i) pairs.push_back(stream_pair::make());
        std::size_t lines = 0;
        std::size_t ended = 0;
        auto read = [&](stream_reader mine) -> coro<> {
            try {
                co_await mine.read_line();
                ++lines;
                pairs.clear();  // the sockets are closed, and go with those who read from them
            } catch (const std::system_error&) {
                ++ended;
            }
        };
        std::vector<task<>> readers;
        for (stream_pair& each : pairs) readers.push_back(create_task(read(each.reader)));
        co_await sleep(0s);
        for (stream_pair& each : pairs) each.writer.write("all at once\n");
        for (const task<>& each : readers) co_await each;
        co_await sleep(1ms);  // the other events have their turn before that ends
        EXPECT_GE(lines, 1U);
        EXPECT_EQ(lines + ended, connections);
    };
    run(main());
}
