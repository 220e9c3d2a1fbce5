// The part of a stream that has to do with TLS. The socket's side stays as it is: bytes come by receive(), go out by
// send_or_queue(), so every backend carries TLS as it carries anything else. What comes is fed to the session, and all
// that it decrypts goes to received() at once: nothing waits inside the session that a read could miss.
//
//   plain         secure() -> shaking hands
//   shaking hands reads and writes of users are errors; done -> secured; an error, or time -> closed
//   secured       close() or write_eof() tells the peer that no more comes, behind what was written
//   closing       the output is written, and the peer says that it ends as well, or ends, or says too much, or the time
//                 for it has passed -> closed
//
// To close the socket as soon as the output is written would make the kernel send a reset if the peer had sent
// something that we have not read, and the reset would overtake our last bytes; so we read on, and drop what comes.

#include "asyncio/stream_security.hpp"

#include <tercet/asyncio/event_loop.hpp>
#include <tercet/asyncio/stream_errors.hpp>
#include <tercet/asyncio/timeout.hpp>
#include <tercet/futures/errors.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <exception>
#include <new>

namespace tercet::asyncio {

namespace {

constexpr std::size_t most_at_once = std::size_t{64} << 10;      // is encrypted, then sent
constexpr std::size_t most_discarded = std::size_t{1} << 20;     // by a connection that closes
constexpr std::size_t received_at_once = std::size_t{32} << 10;  // stands on the stack

/// Feeds what comes during the handshake.
class handshake_input final : public io_operation {
public:
    explicit handshake_input(stream_socket& stream) noexcept
        : io_operation(stream, watched_socket::direction::reading), stream_(stream) {}
    void await_resume() const {
        throw_if_cancelled();
        if (was_busy()) stream_.throw_busy();
        if (error() != 0) stream_.throw_error("TLS handshake", error());
    }

private:
    bool attempt() noexcept override {
        if (stream_.feed_security()) return true;
        if (errno == EAGAIN) return false;
        fail(errno);
        return true;
    }
    stream_socket& stream_;
};

coro<> shake_hands(stream_pointer stream) {
    tls_session& session = stream->security()->session;
    for (;;) {
        const tls_session::step reached = session.shake_hands();
        stream->send_encrypted();
        if (reached == tls_session::step::failed) session.throw_failure(stream->security_name());
        if (stream->write_error() != 0) stream->throw_error("TLS handshake", stream->write_error());
        if (reached == tls_session::step::done) break;
        handshake_input input(*stream);
        co_await input;
    }
    stream->decrypt_what_came();
}

}  // namespace

coro<> secure_stream(stream_pointer stream, tls_context context, std::string server_name, security_options options) {
    const stream_socket::reading_guard guard(*stream);
    stream->secure(
        std::make_unique<stream_security>(*stream, context, std::move(server_name), options.shutdown_timeout));
    bool is_late = false;
    try {
        auto handshake = shake_hands(stream);
        co_await timeout(options.handshake_timeout, std::move(handshake));
        co_return;
    } catch (const timeout_error&) {
        is_late = true;
    } catch (...) {
        stream->close();
        throw;
    }
    if (is_late) stream->abort();
    throw timeout_error(fmt::format("{}: no handshake within {:.3f} s", stream->security_name(),
                                    std::chrono::duration<double>(options.handshake_timeout).count()));
}

void stream_socket::secure(std::unique_ptr<stream_security> security) {
    if (is_closing_ || is_eof_written_ || !is_open())
        throw invalid_state_error("start_tls " + peer_.to_string() + ": the stream was closed");
    if (security_) throw invalid_state_error("start_tls " + peer_.to_string() + ": it has TLS already");
    security_ = std::move(security);
    const std::string_view early = received_.view();
    security_->session.feed({early.data(), early.size()});
    received_.consume(early.size());
    if (has_eof_) security_->session.end_input();
    has_eof_ = false;
}

std::string stream_socket::security_name() const {
    const std::string address = peer_.to_string();
    const std::string& name = security_->name;
    if (name.empty() || name == peer_.host()) return "TLS with " + address;
    return fmt::format("TLS with {} ({})", name, address);
}

bool stream_socket::has_failed_security() const noexcept { return security_ && security_->session.has_failed(); }

void stream_socket::throw_security_failure(const char* call) const {
    security_->session.throw_failure(fmt::format("{} {}", call, security_name()));
}

bool stream_socket::feed_security() noexcept {
    std::array<char, received_at_once> arrived;  // NOLINT(*-member-init): it is written before it is read
    const ssize_t count = receive(arrived);
    if (count < 0) return false;
    try {
        if (count == 0)
            security_->session.end_input();
        else
            security_->session.feed(std::span<const char>(arrived).first(static_cast<std::size_t>(count)));
    } catch (const std::bad_alloc&) {
        errno = ENOMEM;
        return false;
    }
    return true;
}

/// As `receive`, into received(); `EPROTO` when TLS has failed.
ssize_t stream_socket::fill_secured() noexcept {
    for (;;) {
        const std::size_t before = received_.size();
        tls_session::step reached;
        try {
            reached = security_->session.decrypt(received_);
        } catch (const std::bad_alloc&) {
            errno = ENOMEM;
            return -1;
        }
        send_encrypted();
        if (reached == tls_session::step::ended) has_eof_ = true;
        if (received_.size() > before) return static_cast<ssize_t>(received_.size() - before);
        if (reached == tls_session::step::ended) return 0;
        if (reached == tls_session::step::failed) {
            errno = EPROTO;
            return -1;
        }
        if (!may_read()) {
            errno = EAGAIN;
            return -1;
        }
        if (!feed_security()) return -1;
    }
}

void stream_socket::decrypt_what_came() {
    if (security_->session.decrypt(received_) == tls_session::step::ended) has_eof_ = true;
    send_encrypted();
}

void stream_socket::write_secured(std::string_view data) {
    if (!security_->session.is_established())
        throw invalid_state_error("write " + peer_.to_string() + ": the handshake is not over");
    while (!data.empty() && write_error_ == 0) {
        const std::string_view part = data.substr(0, most_at_once);
        data.remove_prefix(part.size());
        if (security_->session.encrypt(part))
            send_encrypted();
        else
            lose(EPROTO);
    }
}

/// Without room for the queue the connection is lost, which says so.
void stream_socket::send_encrypted() noexcept {
    tls_session& session = security_->session;
    const std::string_view encrypted = session.output();
    if (!encrypted.empty() && is_open() && write_error_ == 0) {
        try {
            send_or_queue(encrypted);
        } catch (const std::bad_alloc&) {
        }
    }
    session.clear_output();
}

void stream_socket::end_secured_output() noexcept {
    security_->session.end_output();
    send_encrypted();
}

/// Whether closing has to wait for the peer.
bool stream_socket::begin_shutdown() noexcept {
    const tls_session& session = security_->session;
    if (!session.is_established() || session.has_failed() || write_error_ != 0) return false;
    if (!is_eof_written_) end_secured_output();
    return !has_eof_ && write_error_ == 0;
}

void stream_socket::start_shutdown_timer() noexcept {
    const auto longest = std::chrono::nanoseconds::max() / 4;
    loop()->timers().add(*security_, loop()->time() + std::min(security_->shutdown_timeout, longest));
}

void stream_socket::stop_shutdown_timer() noexcept {
    if (security_ && loop()) loop()->timers().cancel(*security_);
}

void stream_socket::discard_secured() noexcept {
    while (awaits_end_) {
        const ssize_t count = fill_secured();
        received_.consume(received_.size());
        if (count < 0 && errno == EAGAIN) return;
        security_->discarded += count > 0 ? static_cast<std::size_t>(count) : 0;
        if (count <= 0 || security_->discarded > most_discarded) awaits_end_ = false;
    }
    if (is_lingering_ && unsent() == 0) finish_close();
}

void stream_socket::end_shutdown() noexcept {
    awaits_end_ = false;
    if (unsent() > 0) {
        lose(ETIMEDOUT);
        reset_descriptor();
    }
    finish_close();
}

}  // namespace tercet::asyncio
