#include <tercet/asyncio/stream_writer.hpp>

#include <cerrno>
#include <string>

#include "asyncio/stream_security.hpp"

namespace tercet::asyncio {

bool stream_writer::drain_awaiter::begin() noexcept {
    if (!stream_->is_paused() || !stream_->is_open()) return true;
    wait_in(stream_->drainers());
    return false;
}

void stream_writer::drain_awaiter::await_resume() const {
    throw_if_cancelled();
    if (stream_->write_error() != 0) stream_->throw_error("write", stream_->write_error());
}

bool stream_writer::closed_awaiter::begin() noexcept {
    if (!stream_->is_open()) return true;
    wait_in(stream_->closers());
    return false;
}

void stream_writer::closed_awaiter::await_resume() const {
    throw_if_cancelled();
    if (stream_->write_error() != 0) stream_->throw_error("write", stream_->write_error());
}

coro<> stream_writer::start_tls(const tls_context& context, start_tls_options options) {
    return secure_stream(stream_, context, std::string(options.server_name),
                         {options.handshake_timeout, options.shutdown_timeout});
}

std::optional<tls_info> stream_writer::tls() const {
    if (!stream_->security()) return std::nullopt;
    return stream_->security()->session.info();
}

}  // namespace tercet::asyncio
