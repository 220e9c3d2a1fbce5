// The echo server of libuv's guide in short: a buffer for each connection, what a try does not send is queued.

#include <uv.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "echo.hpp"

namespace tercet::benchmarks {

namespace {

struct connection {
    uv_tcp_t socket{};
    std::vector<char> buffer = std::vector<char>(65536);
};

struct writing {
    uv_write_t request{};
    std::string rest;
};

void give_buffer(uv_handle_t* on, std::size_t, uv_buf_t* room) {
    auto& buffer = static_cast<connection*>(on->data)->buffer;
    *room = uv_buf_init(buffer.data(), static_cast<unsigned>(buffer.size()));
}

void echo(uv_stream_t* on, ssize_t count, const uv_buf_t* received) {
    if (count < 0) {
        uv_close(reinterpret_cast<uv_handle_t*>(on),
                 [](uv_handle_t* closed) { delete static_cast<connection*>(closed->data); });
        return;
    }
    if (count == 0) return;
    uv_buf_t part = uv_buf_init(received->base, static_cast<unsigned>(count));
    const int sent = uv_try_write(on, &part, 1);
    const std::size_t from = sent > 0 ? static_cast<std::size_t>(sent) : 0;
    if (from == static_cast<std::size_t>(count)) return;
    auto* const left = new writing{.rest = std::string(received->base + from, static_cast<std::size_t>(count) - from)};
    left->request.data = left;
    part = uv_buf_init(left->rest.data(), static_cast<unsigned>(left->rest.size()));
    uv_write(&left->request, on, &part, 1, [](uv_write_t* ended, int) { delete static_cast<writing*>(ended->data); });
}

void accept_one(uv_stream_t* listener, int) {
    auto* const made = new connection;
    made->socket.data = made;
    uv_tcp_init(listener->loop, &made->socket);
    auto* const stream = reinterpret_cast<uv_stream_t*>(&made->socket);
    if (uv_accept(listener, stream) != 0) std::abort();
    uv_tcp_nodelay(&made->socket, 1);
    uv_read_start(stream, &give_buffer, &echo);
}

void serve() {
    uv_loop_t loop;
    uv_tcp_t listener;
    sockaddr_in address{};
    uv_loop_init(&loop);
    uv_tcp_init(&loop, &listener);
    uv_ip4_addr("127.0.0.1", 0, &address);
    uv_tcp_bind(&listener, reinterpret_cast<const sockaddr*>(&address), 0);
    if (uv_listen(reinterpret_cast<uv_stream_t*>(&listener), 1024, &accept_one) != 0) std::abort();
    int length = sizeof address;
    uv_tcp_getsockname(&listener, reinterpret_cast<sockaddr*>(&address), &length);
    tell_port(ntohs(address.sin_port));
    uv_run(&loop, UV_RUN_DEFAULT);
}

const contender here("libuv", echo_rows<serve>());

}  // namespace

}  // namespace tercet::benchmarks
