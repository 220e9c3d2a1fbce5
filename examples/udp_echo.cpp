// udp_echo: a server that sends back what it gets, clients that ask it, and one that asks where nobody listens.
#include <tercet/asyncio.hpp>

#include <cstdio>
#include <string>
#include <system_error>

using namespace std::chrono_literals;
using namespace tercet::asyncio;

namespace {

coro<datagram> receive(const datagram_socket& socket) { co_return co_await socket.receive_from(); }

coro<> echo(const datagram_socket& socket) {
    for (;;) {
        const datagram message = co_await socket.receive_from();
        co_await socket.send_to(message.data, message.from);
    }
}

coro<> ask(std::uint16_t port, std::string text) {
    const datagram_socket socket = co_await connect_datagram("127.0.0.1", port);
    co_await socket.send(text);
    const datagram answer = co_await timeout(5s, receive(socket));
    std::printf("%s\n", answer.data.c_str());
}

coro<> work() {
    datagram_socket server = co_await bind_datagram("127.0.0.1", 0);
    const std::uint16_t port = server.local_address().port();
    task<> serving = create_task(echo(server));
    co_await ask(port, "hello");
    co_await ask(port, "");
    co_await ask(port, "good bye");
    serving.cancel();
    server.close();
    try {
        co_await ask(port, "anybody there?");
    } catch (const std::system_error& error) {
        std::printf("%s\n", error.code().message().c_str());
    }
}

}  // namespace

int main() { run(work()); }
