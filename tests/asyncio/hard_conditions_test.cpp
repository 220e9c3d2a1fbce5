// What a loop does with the system while signals interrupt its calls all the time, and with text that is no UTF-8: the
// same as ever.

#include <tercet/asyncio.hpp>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <ios>
#include <string>
#include <string_view>
#include <vector>

#include "asyncio/stream_pair.hpp"
#include "asyncio/temporary_directory.hpp"
#include "multiprocessing/signal_storm.hpp"

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using tercet::multiprocessing::signal_storm;

namespace {

std::string numbers(std::size_t at_least) {
    std::string text;
    for (int i = 0; text.size() < at_least; ++i) text += std::to_string(i) + ' ';
    return text;
}

/// Pieces of UTF-8 that begin and do not end, end and have not begun, and what it never has.
const std::string no_text("a\xc3\n\x80\xff\xfe \xed\xa0\x80 \xf4\x90\x80\x80\n\xe2\x82", 18);

}  // namespace

TEST(hard_conditions, connections_lose_nothing_in_a_storm_of_signals) {
    auto main = []() -> coro<> {
        const server listening = co_await start_server(&echo, "127.0.0.1", 0);
        const signal_storm storm;
        connection peer = co_await open_connection("localhost", listening.port());
        const std::string data = numbers(8U << 20);
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
        signal_storm::wait_for_one();
    };
    run(main());
}

TEST(hard_conditions, files_and_sendfile_lose_nothing_in_a_storm_of_signals) {
    const temporary_directory folder;
    const std::string path = folder / "file";
    const std::string data = numbers(4U << 20);
    auto main = [&]() -> coro<> {
        const signal_storm storm;
        {
            file written = co_await open_file(path, open_mode::write);
            co_await written.write(data);
            co_await written.close();
        }
        file again = co_await open_file(path);
        const std::string same = co_await again.read_all();
        EXPECT_TRUE(same == data);
        co_await again.close();
        const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
        stream_pair both = stream_pair::make();
        auto send = [&]() -> coro<std::uint64_t> {
            const std::uint64_t sent = co_await sendfile(both.writer, descriptor);
            both.writer.write_eof();
            co_return sent;
        };
        auto [sent, received] = co_await gather(send(), both.reader.read());
        EXPECT_EQ(sent, data.size());
        EXPECT_TRUE(received == data);
        ::close(descriptor);
        signal_storm::wait_for_one();
    };
    run(main());
}

TEST(hard_conditions, a_subprocess_and_its_pipes_lose_nothing_in_a_storm_of_signals) {
    const std::string data = numbers(4U << 20);
    auto main = [&]() -> coro<> {
        const signal_storm storm;
        subprocess child = create_subprocess_exec("cat", {}, {.stdin_ = stdio::pipe, .stdout_ = stdio::pipe});
        const subprocess_output output = co_await child.communicate(data);
        EXPECT_TRUE(output.stdout_ == data);
        EXPECT_EQ(child.returncode(), 0);
        signal_storm::wait_for_one();
    };
    run(main());
}

TEST(hard_conditions, datagrams_and_time_limits_are_exact_in_a_storm_of_signals) {
    auto main = []() -> coro<> {
        const signal_storm storm;
        const datagram_socket server = co_await bind_datagram("127.0.0.1", 0);
        const datagram_socket client = co_await connect_datagram("127.0.0.1", server.local_address().port());
        for (int i = 0; i < 100; ++i) {
            const std::string text = std::to_string(i);
            co_await client.send(text);
            const datagram got = co_await server.receive_from();
            EXPECT_EQ(got.data, text);
        }
        const auto begun = get_running_loop().time();
        auto wait = [&]() -> coro<> { co_await server.receive_from(); };
        try {
            co_await timeout(50ms, wait());
            ADD_FAILURE();
        } catch (const tercet::timeout_error&) {
        }
        EXPECT_GE(get_running_loop().time() - begun, 50ms);
        EXPECT_LT(get_running_loop().time() - begun, 5s);
        signal_storm::wait_for_one();
    };
    run(main());
}

TEST(hard_conditions, names_are_found_in_a_storm_of_signals) {
    auto main = []() -> coro<> {
        const signal_storm storm;
        do {
            const auto addresses = co_await resolve("localhost", 80);
            EXPECT_FALSE(addresses.empty());
        } while (signal_storm::count() < 10);
    };
    run(main());
}

TEST(hard_conditions, what_is_no_text_is_bytes_for_streams_files_and_subprocesses) {
    const temporary_directory folder;
    const std::string path = folder / "file";
    std::ofstream(path, std::ios::binary) << no_text;
    auto main = [&]() -> coro<> {
        stream_pair both = stream_pair::make();
        both.writer.write(no_text);
        both.writer.write_eof();
        file opened = co_await open_file(path);
        for (const char* const expected : {"a\xc3\n", "\x80\xff\xfe \xed\xa0\x80 \xf4\x90\x80\x80\n", "\xe2\x82", ""}) {
            const std::string of_stream = co_await both.reader.read_line();
            EXPECT_EQ(of_stream, expected);
            const std::string of_file = co_await opened.read_line();
            EXPECT_EQ(of_file, expected);
        }
        subprocess child = create_subprocess_exec("cat", {}, {.stdin_ = stdio::pipe, .stdout_ = stdio::pipe});
        const subprocess_output output = co_await child.communicate(no_text);
        EXPECT_EQ(output.stdout_, no_text);
    };
    run(main());
}
