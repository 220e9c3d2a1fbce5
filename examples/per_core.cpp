// per_core: a loop on each of two threads, each with a socket of its own on one port, over which the kernel spreads a
// hundred clients.
#include <tercet/asyncio.hpp>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using namespace tercet::asyncio;

coro<std::string> ask(std::uint16_t port) {
    connection peer = co_await open_connection("127.0.0.1", port);
    std::string answer = co_await peer.reader.read(100);
    co_return answer;
}

int main() {
    std::atomic<std::uint16_t> port = 0;
    std::atomic<int> listening = 0;
    std::atomic<bool> is_done = false;
    std::array<int, 2> answers{};  // each loop has its own
    run_per_core(
        [&](std::size_t core) -> coro<> {
            const auto serve = [core, &answers](stream_reader, stream_writer writer) -> coro<> {
                ++answers[core];
                writer.write("hello");
                co_return;
            };
            while (core == 1 && port == 0) co_await sleep(1ms);
            const server mine = co_await start_server(serve, "127.0.0.1", port, {.reuse_port = true});
            port = mine.port();
            ++listening;
            while (listening < 2) co_await sleep(1ms);
            if (core == 0) {
                std::vector<coro<std::string>> clients;
                for (int i = 0; i < 100; ++i) clients.push_back(ask(port));
                co_await gather(std::move(clients));
                is_done = true;
            }
            while (!is_done) co_await sleep(1ms);
        },
        {.cores = 2});
    std::printf("%d answers\n", answers[0] + answers[1]);
}
