// echo_server: a server that answers many clients at once, and five clients that ask it. Each answer takes half a
// second, all five together hardly more.
#include <tercet/asyncio.hpp>

#include <cstdio>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using namespace tercet::asyncio;

coro<> handle_client(stream_reader reader, stream_writer writer) {
    const std::string message = co_await reader.read(1024);
    std::printf("[server] received: %s\n", message.c_str());
    co_await sleep(0.5s);  // stands for a query to a database
    writer.write("Echo: " + message);
    co_await writer.drain();
    writer.close();
    co_await writer.wait_closed();
}

coro<> client(std::uint16_t port, int number) {
    co_await sleep(number * 20ms);
    connection peer = co_await open_connection("127.0.0.1", port);
    peer.writer.write("Hello from client " + std::to_string(number));
    co_await peer.writer.drain();
    const std::string answer = co_await peer.reader.read(1024);
    std::printf("[client %d] received: %s\n", number, answer.c_str());
}

coro<> demo() {
    server listening = co_await start_server(&handle_client, "127.0.0.1", 0);
    std::vector<coro<>> clients;
    for (int number = 0; number < 5; ++number) clients.push_back(client(listening.port(), number));
    co_await gather(std::move(clients));
    listening.close();
    co_await listening.wait_closed();
    std::printf("server stopped\n");
}

int main() { run(demo()); }
