#include <tercet/asyncio.hpp>

#include <unistd.h>

#include <span>
#include <string_view>
#include <vector>

#include "echo.hpp"

namespace tercet::benchmarks {

namespace {

using namespace tercet::asyncio;

coro<> echo(stream_reader reader, stream_writer writer) {
    std::vector<char> buffer(65536);
    for (;;) {
        const std::size_t count = co_await reader.read_some(buffer);
        if (count == 0) co_return;
        writer.write(std::string_view(buffer.data(), count));
        co_await writer.drain();
    }
}

template <loop_backend backend, int busy_poll_us = 0>
void serve() {
    auto main = []() -> coro<> {
        if (get_running_loop().backend() != backend) ::_exit(1);
        const server listening = co_await start_server(&echo, "127.0.0.1", 0);
        tell_port(listening.port());
        co_await listening.serve_forever();
    };
    run(main(), {.backend = backend, .busy_poll = std::chrono::microseconds(busy_poll_us)});
}

constexpr int busy = 50;

const contender on_epoll("tercet", echo_rows<serve<loop_backend::epoll>>());
const contender on_uring("tercet/io_uring", echo_rows<serve<loop_backend::io_uring>>());
const contender busy_on_epoll("tercet/busy_poll", {{echo_latency, [] {
                                                        return measure_echo(serve<loop_backend::epoll, busy>,
                                                                            echo_cells[0], echo_latency);
                                                    }}});

}  // namespace

}  // namespace tercet::benchmarks
