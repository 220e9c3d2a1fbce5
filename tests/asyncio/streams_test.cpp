#include <tercet/asyncio.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <deque>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "asyncio/runs_on.hpp"
#include "asyncio/stream_pair.hpp"

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using testing::AnyOf;
using testing::HasSubstr;

namespace {

/// What the next calls of `send` do: take at most so many bytes, or fail with an error if it is negative.
std::deque<int> scripted_sends;
int sends_made = 0;
int receives_made = 0;

}  // namespace

/// Stands before that of the C library.
extern "C" ssize_t send(int descriptor, const void* data, std::size_t size, int flags) {
    ++sends_made;
    if (!scripted_sends.empty()) {
        const int script = scripted_sends.front();
        scripted_sends.pop_front();
        if (script < 0) {
            errno = -script;
            return -1;
        }
        size = std::min(size, static_cast<std::size_t>(script));
    }
    return ::sendto(descriptor, data, size, flags, nullptr, 0);
}

extern "C" ssize_t recv(int descriptor, void* room, std::size_t size, int flags) {
    ++receives_made;
    return ::recvfrom(descriptor, room, size, flags, nullptr, nullptr);
}

TEST(receive_buffer, begins_at_a_cache_line) {
    receive_buffer buffer;
    for (int i = 0; i < 8; ++i) {  // and becomes larger
        const std::span<char> room = buffer.prepare();
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(room.data()) % 64, 0U);
        buffer.commit(room.size());
        buffer.consume(room.size());
    }
    EXPECT_GT(buffer.capacity(), 128U << 10U);
}

TEST(streams, a_message_costs_at_most_one_call_to_receive_and_one_to_send) {
    constexpr int connections = 20;
    constexpr int messages = 50;
    auto main = []() -> coro<> {
        server echo_server = co_await start_server(&echo, "127.0.0.1", 0);
        auto talk = [&]() -> coro<> {
            connection peer = co_await open_connection("127.0.0.1", echo_server.port());
            for (int i = 0; i < messages; ++i) {
                peer.writer.write("hello\n");
                co_await peer.writer.drain();
                const std::string line = co_await peer.reader.read_line();
                EXPECT_EQ(line, "hello\n");
            }
        };
        sends_made = receives_made = 0;
        std::vector<coro<>> talks;
        for (int i = 0; i < connections; ++i) talks.push_back(talk());
        co_await gather(std::move(talks));
        echo_server.close();
        co_await echo_server.wait_closed();
    };
    run(main());
    // Each is received by the server and by the client. A connection's first look may be in vain, and its end is one.
    constexpr int passed = 2 * connections * messages;
    EXPECT_EQ(sends_made, passed);
    // io_uring gives the bytes with the completion.
    const int called = runs_on(loop_backend::io_uring) ? 0 : passed;
    EXPECT_GE(receives_made, called);
    EXPECT_LE(receives_made, called + 3 * connections);
}

TEST(streams, echo_returns_what_was_sent) {
    auto main = []() -> coro<std::string> {
        server echo_server = co_await start_server(&echo, "127.0.0.1", 0);
        connection peer = co_await open_connection("127.0.0.1", echo_server.port());
        EXPECT_EQ(peer.writer.peer_address().to_string(), "127.0.0.1:" + std::to_string(echo_server.port()));
        EXPECT_EQ(peer.writer.local_address().host(), "127.0.0.1");
        peer.writer.write("hello\nworld");
        std::string first = co_await peer.reader.read_line();
        peer.writer.write_eof();
        const std::string second = co_await peer.reader.read();
        EXPECT_TRUE(peer.reader.at_eof());
        echo_server.close();
        co_await echo_server.wait_closed();
        co_return first + second;
    };
    EXPECT_EQ(run(main()), "hello\nworld");
}

TEST(streams, names_resolve) {
    auto main = []() -> coro<> {
        server echo_server = co_await start_server(&echo, "localhost", 0);
        const auto target = echo_server.addresses().front();
        connection peer = co_await open_connection("localhost", target.port());
        peer.writer.write("x");
        const std::string answer = co_await peer.reader.read_exactly(1);
        EXPECT_EQ(answer, "x");
    };
    run(main());
}

TEST(streams, read_gives_what_there_is_and_nothing_at_the_end) {
    auto main = []() -> coro<> {
        stream_pair both = stream_pair::make();
        both.writer.write("abc");
        const std::string two = co_await both.reader.read(2);
        EXPECT_EQ(two, "ab");
        const std::string none = co_await both.reader.read(0);
        EXPECT_EQ(none, "");
        both.writer.close();
        const std::string rest = co_await both.reader.read(100);
        EXPECT_EQ(rest, "c");
        EXPECT_FALSE(both.reader.at_eof());
        const std::string end = co_await both.reader.read(100);
        EXPECT_EQ(end, "");
        EXPECT_TRUE(both.reader.at_eof());
        std::array<char, 4> room{};
        const std::size_t count = co_await both.reader.read_some(room);
        EXPECT_EQ(count, 0U);
    };
    run(main());
}

TEST(streams, read_some_gives_what_an_earlier_read_left) {
    auto main = []() -> coro<> {
        stream_pair both = stream_pair::make();
        both.writer.write("line\nrest");
        co_await both.reader.read_line();
        std::array<char, 3> room{};
        const std::size_t first = co_await both.reader.read_some(room);
        EXPECT_EQ(std::string(room.data(), first), "res");
        const std::size_t second = co_await both.reader.read_some(room);
        EXPECT_EQ(std::string(room.data(), second), "t");
    };
    run(main());
}

TEST(streams, read_exactly_waits_for_all_and_names_what_is_missing) {
    auto main = []() -> coro<> {
        stream_pair both = stream_pair::make();
        both.writer.write("abc");
        get_running_loop().call_later(1ms, [&] { both.writer.write("def"); });
        const std::string five = co_await both.reader.read_exactly(5);
        EXPECT_EQ(five, "abcde");
        both.writer.close();
        try {
            co_await both.reader.read_exactly(3);
            ADD_FAILURE();
        } catch (const incomplete_read_error& error) {
            EXPECT_EQ(error.partial(), "f");
            EXPECT_EQ(error.expected(), 3U);
        }
    };
    run(main());
}

TEST(streams, read_until_finds_a_separator_that_comes_in_two_parts) {
    auto main = []() -> coro<> {
        stream_pair both = stream_pair::make();
        both.writer.write("one\r");
        get_running_loop().call_later(1ms, [&] { both.writer.write("\ntwo"); });
        const std::string one = co_await both.reader.read_until("\r\n");
        EXPECT_EQ(one, "one\r\n");
        both.writer.close();
        try {
            co_await both.reader.read_until("\r\n");
            ADD_FAILURE();
        } catch (const incomplete_read_error& error) {
            EXPECT_EQ(error.partial(), "two");
        }
        try {
            co_await both.reader.read_until("");
            ADD_FAILURE();
        } catch (const std::invalid_argument&) {
        }
    };
    run(main());
}

TEST(streams, of_several_separators_the_one_that_ends_first_counts) {
    auto main = []() -> coro<> {
        stream_pair both = stream_pair::make();
        both.writer.write("one,two;three--fo-");
        get_running_loop().call_later(1ms, [&] { both.writer.write("-ur"); });
        const std::vector<std::string> separators{"--", ";", ",", "o,t"};
        std::vector<std::string> parts;
        for (int i = 0; i < 4; ++i) {
            const std::string part = co_await both.reader.read_until_any(separators);
            parts.push_back(part);
        }
        EXPECT_THAT(parts, testing::ElementsAre("one,", "two;", "three--", "fo--"));
        both.writer.close();
        try {
            co_await both.reader.read_until_any(separators);
            ADD_FAILURE();
        } catch (const incomplete_read_error& error) {
            EXPECT_EQ(error.partial(), "ur");
        }
        int refused = 0;
        for (const auto& wrong : {std::vector<std::string>{}, std::vector<std::string>{"a", ""}}) {
            try {
                co_await both.reader.read_until_any(wrong);
            } catch (const std::invalid_argument&) {
                ++refused;
            }
        }
        EXPECT_EQ(refused, 2);
    };
    run(main());
}

TEST(streams, writelines_sends_all_in_one_call) {
    auto main = []() -> coro<> {
        stream_pair both = stream_pair::make();
        const std::vector<std::string_view> parts{"one ", "", "two ", "three"};
        sends_made = 0;
        both.writer.writelines(parts);
        EXPECT_EQ(sends_made, 1);
        EXPECT_EQ(both.writer.write_buffer_size(), 0U);
        both.writer.writelines({});
        const std::string received = co_await both.reader.read(100);
        EXPECT_EQ(received, "one two three");
        both.writer.close();
        EXPECT_THROW(both.writer.writelines(parts), tercet::invalid_state_error);
    };
    run(main());
}

TEST(streams, writelines_waits_behind_what_is_queued) {
    auto main = []() -> coro<> {
        stream_pair both = stream_pair::make();
        const std::string block(256 << 10, 'x');
        while (both.writer.write_buffer_size() == 0) both.writer.write(block);
        const std::vector<std::string_view> parts{"the ", "end"};
        both.writer.writelines(parts);
        both.writer.write_eof();
        const std::string received = co_await both.reader.read();
        EXPECT_EQ(received.find_first_not_of('x'), received.size() - 7);
        EXPECT_TRUE(received.ends_with("the end"));
    };
    run(main());
}

TEST(streams, a_line_at_the_end_needs_no_newline) {
    auto main = []() -> coro<> {
        stream_pair both = stream_pair::make();
        both.writer.write("a\n\nb");
        both.writer.close();
        std::vector<std::string> lines;
        while (!both.reader.at_eof()) {
            const std::string line = co_await both.reader.read_line();
            lines.push_back(line);
        }
        EXPECT_THAT(lines, testing::ElementsAre("a\n", "\n", "b"));
    };
    run(main());
}

TEST(streams, a_line_longer_than_the_limit_is_an_error_and_loses_nothing) {
    auto main = []() -> coro<> {
        stream_pair both = stream_pair::make();
        const std::string line(200, 'x');
        both.writer.write(line + "\n");
        for (int i = 0; i < 2; ++i) {
            try {
                co_await both.reader.read_line();
                ADD_FAILURE();
            } catch (const limit_overrun_error& error) {
                EXPECT_THAT(error.what(), HasSubstr("64"));
                EXPECT_GT(error.consumed(), 64U);
            }
        }
        const std::string all = co_await both.reader.read_exactly(200);
        EXPECT_EQ(all, line);
        const std::string newline = co_await both.reader.read_line();
        EXPECT_EQ(newline, "\n");
    };
    run(main());
}

TEST(streams, bytes_of_any_value_pass) {
    auto main = []() -> coro<> {
        stream_pair both = stream_pair::make();
        std::string all;
        for (int i = 0; i < 256; ++i) all.push_back(static_cast<char>(i));
        both.writer.write(all);
        const std::string same = co_await both.reader.read_exactly(256);
        EXPECT_EQ(same, all);
    };
    run(main());
}

TEST(streams, a_second_reader_is_an_error_and_the_first_goes_on) {
    auto main = []() -> coro<> {
        stream_pair both = stream_pair::make();
        auto read = [&]() -> coro<std::string> { co_return co_await both.reader.read_line(); };
        task<std::string> first = create_task(read());
        co_await sleep(0s);
        co_await sleep(0s);
        std::array<char, 4> room{};
        for (int kind = 0; kind < 2; ++kind) {
            try {
                if (kind == 0)
                    co_await both.reader.read(1);
                else
                    co_await both.reader.read_some(room);
                ADD_FAILURE();
            } catch (const tercet::invalid_state_error& error) {
                EXPECT_THAT(error.what(), HasSubstr("another coroutine"));
            }
        }
        both.writer.write("line\n");
        const std::string line = co_await std::move(first);
        EXPECT_EQ(line, "line\n");
    };
    run(main());
}

TEST(streams, a_cancelled_read_leaves_the_bytes) {
    auto main = []() -> coro<> {
        stream_pair both = stream_pair::make();
        both.writer.write("half a li");
        try {
            co_await timeout(2ms, both.reader.read_line());
            ADD_FAILURE();
        } catch (const tercet::timeout_error&) {
        }
        both.writer.write("ne\n");
        const std::string line = co_await both.reader.read_line();
        EXPECT_EQ(line, "half a line\n");
    };
    run(main());
}

TEST(streams, closing_here_wakes_a_reader_with_an_error) {
    auto main = []() -> coro<> {
        stream_pair both = stream_pair::make();
        get_running_loop().call_later(1ms, [&] { both.near_writer.close(); });
        try {
            co_await both.reader.read(1);
            ADD_FAILURE();
        } catch (const std::system_error& error) {
            EXPECT_EQ(error.code().value(), ECONNABORTED);
        }
    };
    run(main());
}

TEST(streams, megabytes_pass_with_drain_and_half_close) {
    auto main = []() -> coro<> {
        server echo_server = co_await start_server(&echo, "127.0.0.1", 0);
        connection peer = co_await open_connection("127.0.0.1", echo_server.port());
        std::string data;
        for (int i = 0; data.size() < (8U << 20); ++i) data += std::to_string(i) + ' ';
        auto send = [&]() -> coro<> {
            for (std::size_t at = 0; at < data.size(); at += 100'000) {
                peer.writer.write(std::string_view(data).substr(at, 100'000));
                co_await peer.writer.drain();
            }
            peer.writer.write_eof();
        };
        auto [sent, received] = co_await gather(send(), peer.reader.read());
        static_cast<void>(sent);
        EXPECT_TRUE(received == data);
    };
    run(main());
}

TEST(streams, one_large_write_without_drain_arrives_whole_after_close) {
    auto main = []() -> coro<> {
        std::string received;
        event done;
        auto collect = [&](stream_reader reader, stream_writer) -> coro<> {
            received = co_await reader.read();
            done.set();
        };
        server collector = co_await start_server(collect, "127.0.0.1", 0);
        const std::string data(4 << 20, 'z');
        {
            connection peer = co_await open_connection("127.0.0.1", collector.port());
            peer.writer.write(data);
        }
        co_await done.wait();
        EXPECT_TRUE(received == data);
    };
    run(main());
}

TEST(streams, drain_waits_while_the_peer_does_not_read_and_several_wake) {
    auto main = []() -> coro<> {
        stream_pair both = stream_pair::make();
        const std::string block(256 << 10, 'x');
        while (both.writer.write_buffer_size() <= (64U << 10)) both.writer.write(block);
        int awake = 0;
        auto wait = [&]() -> coro<> {
            co_await both.writer.drain();
            ++awake;
        };
        task<> first = create_task(wait(), {.eager_start = true});
        task<> second = create_task(wait(), {.eager_start = true});
        co_await sleep(0s);  // everybody who is ready has run
        EXPECT_EQ(awake, 0);
        std::string room(1 << 20, '\0');
        while (awake < 2) co_await both.reader.read_some(room);
        co_await first;
        co_await second;
    };
    run(main());
}

TEST(streams, a_write_that_waits_goes_on_after_the_peer_has_ended_its_stream) {
    auto main = []() -> coro<> {
        const std::string answer(16 << 20, 'a');
        event is_full;
        auto reply = [&](stream_reader reader, stream_writer writer) -> coro<> {
            const std::string question = co_await reader.read();
            EXPECT_EQ(question, "question");
            writer.write(answer);
            EXPECT_GT(writer.write_buffer_size(), 0U) << "the system took everything: nothing waits";
            is_full.set();
            co_await writer.drain();
        };
        server replier = co_await start_server(reply, "127.0.0.1", 0);
        connection peer = co_await open_connection("127.0.0.1", replier.port());
        peer.writer.write("question");
        peer.writer.write_eof();
        co_await is_full.wait();
        const std::string received = co_await peer.reader.read();
        EXPECT_TRUE(received == answer);
    };
    run(main());
}

TEST(streams, a_peer_that_never_reads_is_bounded_by_a_timeout) {
    auto main = []() -> coro<> {
        stream_pair both = stream_pair::make();
        auto flood = [&]() -> coro<> {
            const std::string block(64 << 10, 'x');
            for (;;) {
                both.writer.write(block);
                co_await both.writer.drain();
            }
        };
        try {
            co_await timeout(10ms, flood());
            ADD_FAILURE();
        } catch (const tercet::timeout_error&) {
        }
        EXPECT_LT(both.writer.write_buffer_size(), 256U << 10);
        both.writer.abort();
        co_await sleep(0s);
    };
    run(main());
}

TEST(streams, a_peer_that_goes_wakes_drain_with_an_error_and_raises_no_signal) {
    auto main = []() -> coro<> {
        stream_pair both = stream_pair::make();
        const std::string block(256 << 10, 'x');
        while (both.writer.write_buffer_size() <= (64U << 10)) both.writer.write(block);
        get_running_loop().call_later(1ms, [&] { both.near_writer.close(); });
        try {
            co_await both.writer.drain();
            ADD_FAILURE();
        } catch (const std::system_error& error) {
            EXPECT_THAT(error.code().value(), AnyOf(EPIPE, ECONNRESET));
            EXPECT_THAT(error.what(), HasSubstr("write "));
        }
        both.writer.write("more");
        both.writer.close();
        try {
            co_await both.writer.wait_closed();
            ADD_FAILURE();
        } catch (const std::system_error&) {
        }
    };
    run(main());
}

TEST(streams, a_connection_that_is_lost_after_a_part_of_what_was_queued_has_nothing_queued) {
    for (const bool is_closing : {false, true}) {
        auto main = [&]() -> coro<> {
            stream_pair both = stream_pair::make();
            const std::string block(256 << 10, 'x');
            while (both.writer.write_buffer_size() <= (64U << 10)) both.writer.write(block);
            auto drain = [&]() -> coro<> { co_await both.writer.drain(); };
            task<> drained = create_task(drain());
            co_await sleep(0s);
            if (is_closing) both.writer.close();
            scripted_sends = {1000, -ECONNRESET};
            std::string room(8 << 20, '\0');
            co_await both.reader.read_some(room);
            try {
                co_await drained;
                ADD_FAILURE();
            } catch (const std::system_error& error) {
                EXPECT_EQ(error.code().value(), ECONNRESET);
            }
            EXPECT_TRUE(scripted_sends.empty());
            EXPECT_EQ(both.writer.write_buffer_size(), 0U);
            if (!is_closing) both.writer.write("goes nowhere");
            both.writer.close();
            try {
                co_await both.writer.wait_closed();
                ADD_FAILURE();
            } catch (const std::system_error& error) {
                EXPECT_EQ(error.code().value(), ECONNRESET);
            }
        };
        run(main());
    }
}

TEST(streams, closing_with_output_queued_ends_reads_at_once_and_abort_ends_the_rest) {
    auto main = []() -> coro<> {
        stream_pair both = stream_pair::make();
        const std::string block(256 << 10, 'x');
        while (both.near_writer.write_buffer_size() <= (64U << 10)) both.near_writer.write(block);
        task<std::string> reading = create_task(both.reader.read(1));
        co_await sleep(0s);
        both.near_writer.close();
        both.writer.write("late");
        const auto error_of = [](auto waiting) -> coro<int> {
            try {
                co_await std::move(waiting);
            } catch (const std::system_error& error) {
                co_return error.code().value();
            }
            co_return 0;
        };
        const int of_waiting = co_await error_of(reading);
        EXPECT_EQ(of_waiting, ECONNABORTED);
        const int of_next = co_await error_of(both.reader.read(1));
        EXPECT_EQ(of_next, ECONNABORTED);
        EXPECT_GT(both.near_writer.write_buffer_size(), 0U);
        both.near_writer.abort();
        auto closed = [&]() -> coro<> { co_await both.near_writer.wait_closed(); };
        const int of_closing = co_await error_of(closed());
        EXPECT_EQ(of_closing, ECONNABORTED);
    };
    run(main());
}

TEST(streams, a_reset_is_an_error_of_read) {
    auto main = []() -> coro<> {
        auto reset = [](stream_reader reader, stream_writer writer) -> coro<> {
            co_await reader.read(1);
            writer.abort();
        };
        server resetting = co_await start_server(reset, "127.0.0.1", 0);
        connection peer = co_await open_connection("127.0.0.1", resetting.port());
        peer.writer.write("x");
        try {
            co_await peer.reader.read(1);
            ADD_FAILURE();
        } catch (const std::system_error& error) {
            EXPECT_EQ(error.code().value(), ECONNRESET);
            EXPECT_THAT(error.what(), HasSubstr("read 127.0.0.1:"));
        }
    };
    run(main());
}

TEST(streams, write_after_close_or_after_the_end_is_an_error) {
    auto main = []() -> coro<> {
        stream_pair both = stream_pair::make();
        both.writer.write_eof();
        both.writer.write_eof();
        EXPECT_THROW(both.writer.write("x"), tercet::invalid_state_error);
        both.writer.close();
        EXPECT_TRUE(both.writer.is_closing());
        EXPECT_THROW(both.writer.write("x"), tercet::invalid_state_error);
        co_await both.writer.wait_closed();
    };
    run(main());
}
