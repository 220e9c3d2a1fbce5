#include <tercet/asyncio.hpp>

#include <unistd.h>

#include <array>
#include <span>
#include <string_view>
#include <system_error>
#include <vector>

#include "echo.hpp"

namespace tercet::benchmarks {

namespace {

using namespace tercet::asyncio;

/// With one buffer for all, as a server of many connections has it.
coro<> echo(stream_reader reader, stream_writer writer) {
    alignas(64) static std::array<char, std::size_t{256} << 10> buffer;  // see receive_buffer.cpp: malloc's is slow
    try {
        for (;;) {
            co_await reader.readable();
            const auto count = reader.try_read_some(buffer);
            if (count == 0) co_return;
            if (count) writer.write(std::string_view(buffer.data(), *count));
            co_await writer.drain();
        }
    } catch (const std::system_error&) {  // NOLINT(bugprone-empty-catch): the client has gone, at the end
    }
}

/// With one for each.
coro<> echo_read_some(stream_reader reader, stream_writer writer) {
    std::vector<char> buffer(65536);
    try {
        for (;;) {
            const std::size_t count = co_await reader.read_some(buffer);
            if (count == 0) co_return;
            writer.write(std::string_view(buffer.data(), count));
            co_await writer.drain();
        }
    } catch (const std::system_error&) {  // NOLINT(bugprone-empty-catch): the client has gone, at the end
    }
}

template <loop_backend backend, auto* handler, int busy_poll_us = 0>
void serve() {
    auto main = []() -> coro<> {
        if (get_running_loop().backend() != backend) ::_exit(1);
        const server listening = co_await start_server(handler, "127.0.0.1", 0);
        tell_port(listening.port());
        co_await listening.serve_forever();
    };
    run(main(), {.backend = backend, .busy_poll = std::chrono::microseconds(busy_poll_us)});
}

constexpr int busy = 50;

const contender on_epoll("tercet", echo_rows<serve<loop_backend::epoll, echo>>());
const contender with_read_some("tercet/read_some", echo_rows<serve<loop_backend::epoll, echo_read_some>>());
const contender on_uring("tercet/io_uring", echo_rows<serve<loop_backend::io_uring, echo>>());
const contender busy_on_epoll("tercet/busy_poll", {{echo_latency, [] {
                                                        return measure_echo(serve<loop_backend::epoll, echo, busy>,
                                                                            echo_cells[0], echo_latency);
                                                    }}});

}  // namespace

}  // namespace tercet::benchmarks
