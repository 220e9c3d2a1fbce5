// A connection under way is a stream whose socket is not registered before connect() was called: an unconnected one
// reports a hang-up. Writable then means over; SO_ERROR says how.
//
// A Unix socket connects at once or not at all: while the server's queue is full connect() says EAGAIN, and nothing
// reports when there is room again.

#include "asyncio/connect_to.hpp"

#include <tercet/asyncio/event_loop.hpp>
#include <tercet/asyncio/sleep.hpp>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

namespace tercet::asyncio {

namespace {

constexpr std::chrono::milliseconds first_pause{1};
constexpr std::chrono::milliseconds longest_pause{64};

class connect_operation final : public io_operation {
public:
    explicit connect_operation(stream_socket& stream) noexcept
        : io_operation(stream, watched_socket::direction::writing), stream_(stream) {}
    /// 0, or why it failed.
    int await_resume() const {
        throw_if_cancelled();
        return error();
    }

private:
    bool attempt() noexcept override {
        const int result = sockets().connect_error(stream_);
        if (result == EINPROGRESS) return false;
        fail(result);
        return true;
    }

    stream_socket& stream_;
};

}  // namespace

coro<connect_result> connect_to(socket_address peer, std::size_t limit) {
    socket_calls& sockets = get_running_loop().sockets();
    const int descriptor = sockets.open(peer.family());
    if (descriptor < 0) co_return connect_result{{}, errno};
    stream_socket* created = nullptr;
    try {
        created = new stream_socket(get_running_loop(), descriptor, peer, limit);
    } catch (...) {
        sockets.close(descriptor);
        throw;
    }
    stream_pointer stream(created);
    if (!peer.is_unix()) sockets.set_option(descriptor, IPPROTO_TCP, TCP_NODELAY, 1);
    auto pause = first_pause;
    while (sockets.connect(descriptor, peer) != 0) {
        if (errno != EAGAIN || !peer.is_unix()) co_return connect_result{{}, errno};
        co_await sleep(pause);
        pause = std::min(2 * pause, longest_pause);
    }
    stream->watch(trigger::on_demand);
    connect_operation operation(*stream);
    const int error = co_await operation;
    if (error != 0) co_return connect_result{{}, error};
    co_return connect_result{std::move(stream), 0};
}

}  // namespace tercet::asyncio
