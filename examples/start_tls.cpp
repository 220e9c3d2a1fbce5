// start_tls AUTHORITY CERTIFICATE KEY: a connection that begins in plain text and goes over to TLS, as mail servers do.
#include <tercet/asyncio.hpp>

#include <cstdio>
#include <string>

using namespace tercet::asyncio;

coro<> serve(stream_reader& reader, stream_writer& writer, const tls_context& own) {
    const std::string command = co_await reader.read_line();
    if (command != "STARTTLS\n") co_return;
    writer.write("go ahead\n");
    co_await writer.drain();
    co_await writer.start_tls(own);
    const std::string secret = co_await reader.read_line();
    writer.write("heard: " + secret);
    co_await writer.drain();
}

coro<> demo(tls_context own, tls_context trusting) {
    const auto handler = [&own](stream_reader reader, stream_writer writer) -> coro<> {
        co_await serve(reader, writer, own);
    };
    const server listening = co_await start_server(handler, "127.0.0.1", 0);
    connection peer = co_await open_connection("127.0.0.1", listening.port());
    peer.writer.write("STARTTLS\n");
    const std::string welcome = co_await peer.reader.read_line();
    std::printf("%s", welcome.c_str());
    co_await peer.writer.start_tls(trusting, {.server_name = "localhost"});
    std::printf("%s\n", peer.writer.tls()->version.c_str());
    peer.writer.write("a secret\n");
    const std::string answer = co_await peer.reader.read_line();
    std::printf("%s", answer.c_str());
}

int main(int argc, char** argv) {
    if (argc != 4) return 2;
    run(demo(tls_context::server({.certificate_file = argv[2], .key_file = argv[3]}),
             tls_context::client({.ca_file = argv[1]})));
}
