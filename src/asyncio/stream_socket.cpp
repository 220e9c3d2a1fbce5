// Output. write() sends at once while nothing is queued; the rest waits in output_ and goes out in the poller's report
// when the socket takes more. Above the high-water mark the stream is paused, and drain() waits until it is below the
// low one.
//
//   open        close() with nothing queued -> closed, otherwise -> closing, with a reference to itself
//   closing     nothing is read any more; output written, or connection lost -> closed
//   closed      the descriptor is gone; reads and writes that wait have ended
//
// With TLS, closing goes on until the peer ends as well: see stream_security.cpp.
//
// An error of send() loses the connection for writing: what is queued is dropped, and drain() and wait_closed() say
// why. Reading goes on, since the peer may have said something before.

#include <tercet/asyncio/event_loop.hpp>
#include <tercet/asyncio/stream_socket.hpp>
#include <tercet/futures/errors.hpp>

#include <fmt/format.h>

#include <cerrno>
#include <system_error>

#include "asyncio/stream_security.hpp"

namespace tercet::asyncio {

namespace {

constexpr std::size_t largest_kept_empty = std::size_t{16} << 10;  // by connections that may stay idle
constexpr std::size_t largest_kept_sent = std::size_t{1} << 20;

}  // namespace

stream_socket::stream_socket(event_loop& loop, int descriptor, const socket_address& peer, std::size_t limit) noexcept
    : watched_socket(loop, descriptor), peer_(peer), limit_(limit) {}

stream_socket::~stream_socket() = default;

stream_socket::reading_guard::reading_guard(stream_socket& read) : read_(read) {
    if (read.is_being_read_) read.throw_busy();
    read.is_being_read_ = true;
}

void stream_socket::throw_busy() const {
    throw invalid_state_error("read " + name() + ": another coroutine reads from this stream");
}

ssize_t stream_socket::receive(std::span<char> into) noexcept {
    const ssize_t count = receive_once(into);
    if (count == 0)
        has_eof_ = !security_;  // TLS has an end of its own
    else if (count < 0 ? errno == EAGAIN : static_cast<std::size_t>(count) < into.size() && is_drained_by_short_read_)
        drained_reading();
    return count;
}

void stream_socket::require_writable(const char* call) const {
    const char* reason = nullptr;
    if (is_closing_)
        reason = "the stream was closed";
    else if (is_eof_written_)
        reason = "after write_eof";
    else if (is_sending_file_)
        reason = "a file is being sent";
    if (reason) throw invalid_state_error(fmt::format("{} {}: {}", call, name(), reason));
}

void stream_socket::write(std::string_view data) {
    require_writable("write");
    write_checked(data);
}

void stream_socket::write_checked(std::string_view data) {
    if (write_error_ != 0) return;
    if (security_)
        write_secured(data);
    else
        send_or_queue(data);
}

// They are put together, so that they go out in one call.
void stream_socket::writelines(std::span<const std::string_view> parts) {
    require_writable("writelines");
    if (write_error_ != 0) return;
    if (security_) {
        std::string all;
        for (const std::string_view each : parts) all.append(each);
        write_secured(all);
        return;
    }
    try {
        for (const std::string_view each : parts) output_.append(each);
    } catch (...) {
        lose(ENOMEM);
        throw;
    }
    if (may_write()) flush();
    update_paused();
}

void stream_socket::begin_file() {
    require_writable("sendfile");
    is_sending_file_ = true;
}

bool stream_socket::flush_all() noexcept {
    flush();
    return unsent() == 0;
}

void stream_socket::send_or_queue(std::string_view data) {
    if (unsent() == 0 && may_write()) data.remove_prefix(send_some(data));
    if (data.empty() || write_error_ != 0) return;
    try {
        output_.append(data);
    } catch (...) {
        lose(ENOMEM);  // a part may have gone out: what comes after would not fit to it
        throw;
    }
    update_paused();
}

std::size_t stream_socket::send_some(std::string_view data) noexcept {
    std::size_t total = 0;
    while (total < data.size()) {
        const ssize_t count = send_once(data.substr(total));
        if (count >= 0) {
            total += static_cast<std::size_t>(count);
        } else if (errno == EAGAIN) {
            filled_writing();
            break;
        } else {
            lose(errno);
            break;
        }
    }
    return total;
}

void stream_socket::flush() noexcept {
    if (unsent() > 0) {
        const std::size_t count = send_some(std::string_view(output_).substr(sent_));
        if (write_error_ == 0) sent_ += count;  // a connection that was lost has dropped its output
        if (unsent() == 0) {
            output_.clear();
            sent_ = 0;
            if (output_.capacity() > largest_kept_empty) output_.shrink_to_fit();
        } else if (sent_ >= largest_kept_sent && sent_ >= output_.size() / 2) {
            output_.erase(0, sent_);
            sent_ = 0;
        }
        update_paused();
    }
    if (unsent() > 0) return;
    if (is_lingering_ && !awaits_end_)
        finish_close();
    else if (is_eof_written_ && is_open() && write_error_ == 0 && !security_)
        end_output();
}

ssize_t stream_socket::receive_once(std::span<char> into) noexcept { return sockets().receive(*this, into); }

ssize_t stream_socket::send_once(std::string_view data) noexcept { return sockets().send(*this, data); }

void stream_socket::end_output() noexcept { sockets().shut_down(*this); }

void stream_socket::update_paused() noexcept {
    if (unsent() > high_water_)
        is_paused_ = true;
    else if (unsent() <= low_water_ && std::exchange(is_paused_, false))
        wake_drainers();
}

void stream_socket::wake_drainers() noexcept {
    drainers_.wake_all();
    file_drainers_.wake_all();
}

void stream_socket::set_write_buffer_limits(std::size_t high, std::size_t low) noexcept {
    high_water_ = high;
    low_water_ = low < high ? low : high;
    update_paused();
}

void stream_socket::lose(int error) noexcept {
    write_error_ = error;
    awaits_end_ = false;
    output_.clear();
    sent_ = 0;
    is_paused_ = false;
    wake_drainers();
}

void stream_socket::write_eof() {
    if (is_eof_written_ && !is_closing_) return;
    require_writable("write_eof");
    is_eof_written_ = true;
    if (security_)
        end_secured_output();
    else if (unsent() == 0)
        flush();
}

void stream_socket::close() noexcept {
    if (std::exchange(is_closing_, true)) return;
    awaits_end_ = security_ && is_open() && begin_shutdown();
    if ((unsent() == 0 && !awaits_end_) || !is_open()) {
        finish_close();
        return;
    }
    end_reading();
    file_drainers_.wake_all();  // a file that is copied is cut off
    is_lingering_ = true;
    add_reference();
    if (!security_) return;
    start_shutdown_timer();
    if (may_read()) discard_secured();
}

void stream_socket::abort() noexcept {
    is_closing_ = true;
    awaits_end_ = false;
    if (!is_open()) return;
    if (unsent() > 0) lose(ECONNABORTED);
    reset_descriptor();
    finish_close();
}

void stream_socket::finish_close() noexcept {
    stop_shutdown_timer();
    close_descriptor();
    wake_drainers();
    closers_.wake_all();
    if (std::exchange(is_lingering_, false)) release();
}

void stream_socket::on_ready(readiness what) noexcept {
    add_reference();  // what is written may be the last that held it
    watched_socket::on_ready(what);
    if (includes(what, readiness::writable) && unsent() > 0) flush();
    if (awaits_end_ && may_read()) discard_secured();
    release();
}

void stream_socket::on_loop_end() noexcept {
    stop_shutdown_timer();
    watched_socket::on_loop_end();
    is_closing_ = true;
    if (std::exchange(is_lingering_, false)) release();
}

void stream_socket::throw_error(const char* call, int error) const {
    if (error == EPROTO && has_failed_security()) throw_security_failure(call);
    throw std::system_error(error, std::system_category(), call + (' ' + name()));
}

stream_socket& stream_pointer::operator*() const {
    if (!stream_) throw invalid_state_error("stream: it was moved from");
    return *stream_;
}

}  // namespace tercet::asyncio
