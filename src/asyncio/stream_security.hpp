#pragma once

#include <tercet/asyncio/coro.hpp>
#include <tercet/asyncio/stream_socket.hpp>
#include <tercet/asyncio/timer_queue.hpp>
#include <tercet/asyncio/tls_context.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "asyncio/tls_session.hpp"

namespace tercet::asyncio {

/// The TLS of a stream, and the time it has to end.
class stream_security final : public timer_node {
public:
    stream_security(stream_socket& secured, const tls_context& context, std::string server_name,
                    std::chrono::nanoseconds shutdown_time)
        : timer_node(&expire),
          session(context.settings(), server_name),
          name(std::move(server_name)),
          shutdown_timeout(shutdown_time),
          stream_(secured) {}

    tls_session session;
    std::string name;  // of the server, for a client
    std::chrono::nanoseconds shutdown_timeout;
    std::size_t discarded = 0;  // while it closes

private:
    static void expire(timer_node& self) noexcept { static_cast<stream_security&>(self).stream_.end_shutdown(); }

    stream_socket& stream_;
};

struct security_options {
    std::chrono::nanoseconds handshake_timeout;
    std::chrono::nanoseconds shutdown_timeout;
};

/// Secures a connection: shakes hands. What was received and not read is taken for the beginning of the peer's part.
/// Throws `tls_error`, `certificate_error`, `timeout_error` when `handshake_timeout` has passed, `std::system_error`,
/// `cancelled_error`, `invalid_state_error` when the stream is secured or closed, or somebody reads. Cancel safety: the
/// connection is of no use afterwards, as after an error, and is closed.
coro<> secure_stream(stream_pointer stream, tls_context context, std::string server_name, security_options options);

}  // namespace tercet::asyncio
