// simulated_network: a client that tries again, in virtual time. Its server cannot be reached for an hour, and answers
// slowly after that; all of it takes some milliseconds, and is the same each time.
#include <tercet/asyncio.hpp>

#include <cstdio>
#include <string>
#include <system_error>

using namespace std::chrono_literals;
using namespace tercet::asyncio;

coro<std::string> ask() {
    connection peer = co_await open_connection("server.test", 80);
    std::string answer = co_await peer.reader.read(100);
    co_return answer;
}

coro<> client() {
    const auto begun = get_running_loop().time();
    auto pause = 1min;
    for (int attempt = 1;; ++attempt) {
        try {
            const std::string answer = co_await timeout(10s, ask());
            const std::chrono::duration<double> took = get_running_loop().time() - begun;
            std::printf("attempt %d: %s after %.1f s\n", attempt, answer.c_str(), took.count());
            co_return;
        } catch (const tercet::timeout_error&) {
            std::printf("attempt %d: nothing came\n", attempt);
        }
        co_await sleep(pause);
        pause *= 2;
    }
}

coro<> answer_slowly(stream_reader, stream_writer writer) {
    co_await sleep(3s);
    writer.write("hello");
}

coro<> test() {
    const sim::network network;
    network.set_links({.delay = 50ms});
    const server listening = co_await start_server(&answer_slowly, "server.test", 80);
    network.partition("localhost", "server.test");
    get_running_loop().call_later(1h, [network] { network.heal("localhost", "server.test"); });
    co_await client();
}

int main() { sim::run(test(), {.seed = 1}); }
