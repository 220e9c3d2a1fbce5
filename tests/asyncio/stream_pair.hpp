#pragma once

#include <tercet/asyncio.hpp>

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <string>

inline tercet::asyncio::coro<> echo(tercet::asyncio::stream_reader reader, tercet::asyncio::stream_writer writer) {
    for (;;) {
        const std::string data = co_await reader.read(65536);
        if (data.empty()) co_return;
        writer.write(data);
        co_await writer.drain();
    }
}

/// A connection to itself: what one end writes the other reads.
struct stream_pair {
    static stream_pair make() {
        std::array<int, 2> ends{};
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()), 0);
        return {stream_of(ends[0]), stream_of(ends[1])};
    }
    static tercet::asyncio::stream_pointer stream_of(int descriptor) {
        using namespace tercet::asyncio;
        stream_pointer stream(new stream_socket(get_running_loop(), descriptor, {}, 64));
        stream->watch();
        return stream;
    }
    stream_pair(const tercet::asyncio::stream_pointer& left, const tercet::asyncio::stream_pointer& right)
        : reader(left), near_writer(left), far_reader(right), writer(right) {}

    tercet::asyncio::stream_reader reader;
    tercet::asyncio::stream_writer near_writer;
    tercet::asyncio::stream_reader far_reader;
    tercet::asyncio::stream_writer writer;
};
