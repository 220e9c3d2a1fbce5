#include <tercet/asyncio.hpp>

#include <unistd.h>

#include <span>
#include <string_view>
#include <vector>

#include "../driver.hpp"
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

void serve_on(loop_backend backend, const std::function<void(std::uint16_t)>& tell_port) {
    auto main = [&]() -> coro<> {
        if (get_running_loop().backend() != backend) ::_exit(1);
        const server listening = co_await start_server(&echo, "127.0.0.1", 0);
        tell_port(listening.port());
        co_await listening.serve_forever();
    };
    run(main(), {.backend = backend});
}

void serve_on_epoll(const std::function<void(std::uint16_t)>& tell_port) { serve_on(loop_backend::epoll, tell_port); }
void serve_on_uring(const std::function<void(std::uint16_t)>& tell_port) {
    serve_on(loop_backend::io_uring, tell_port);
}

const contender on_epoll("tercet", {TERCET_ECHO_ROWS(serve_on_epoll)});
const contender on_uring("tercet/io_uring", {TERCET_ECHO_ROWS(serve_on_uring)});

}  // namespace

}  // namespace tercet::benchmarks
