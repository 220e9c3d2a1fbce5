// tls_echo AUTHORITY CERTIFICATE KEY: a server with that certificate, for "localhost", and a client who trusts only
// that authority. Then one who trusts those of the system.
#include <tercet/asyncio.hpp>

#include <cstdio>
#include <string>

using namespace tercet::asyncio;

coro<> echo(stream_reader reader, stream_writer writer) {
    while (!reader.at_eof()) {
        const std::string line = co_await reader.read_line();
        writer.write(line);
        co_await writer.drain();
    }
}

coro<> ask(std::uint16_t port, tls_context context) {
    connection peer = co_await open_connection("127.0.0.1", port, {.tls = &context, .tls_server_name = "localhost"});
    std::printf("%s with %s\n", peer.writer.tls()->version.c_str(), peer.writer.tls()->peer_certificate.c_str());
    peer.writer.write("hello\n");
    const std::string answer = co_await peer.reader.read_line();
    std::printf("%s", answer.c_str());
}

coro<> demo(tls_context own, tls_context trusting, tls_context strange) {
    server listening = co_await start_server(&echo, "127.0.0.1", 0, {.tls = &own});
    get_running_loop().set_exception_handler([](const std::exception_ptr&, std::string_view) {});
    co_await ask(listening.port(), trusting);
    try {
        co_await ask(listening.port(), strange);
    } catch (const certificate_error& error) {
        std::printf("%s\n", error.what());
    }
}

int main(int argc, char** argv) {
    if (argc != 4) return 2;
    run(demo(tls_context::server({.certificate_file = argv[2], .key_file = argv[3]}),
             tls_context::client({.ca_file = argv[1]}), tls_context::client()));
}
