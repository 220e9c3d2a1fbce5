// Edge-triggered readiness, without lost edges: an operation tries its call first, unless an earlier call has shown
// that there is nothing (EAGAIN, or less than was asked for) and no edge came since. Between the try and the
// registration in the slot no turn passes, so an edge either was before the try or finds the operation. A hang-up gives
// its edge once and for ever, so after it calls are always tried: the end of the stream may lie behind a short read.
//
// An operation that waits is tried again inside the poller's report, and only completed when it is over: the coroutine
// is resumed once, with the result, and a cancellation finds either an operation that took nothing or one that is
// complete.

#include <tercet/asyncio/event_loop.hpp>
#include <tercet/asyncio/watched_socket.hpp>

#include <cerrno>
#include <utility>

namespace tercet::asyncio {

void watched_socket::watch(trigger how) {
    loop_->watch(*this, readiness::both, how);
    is_watched_ = true;
}

void watched_socket::end_waiting(io_operation*& slot, bool by_closing) noexcept {
    io_operation* const waiting = slot;
    if (!waiting) return;
    if (by_closing)
        waiting->fail(ECONNABORTED);
    else if (!waiting->attempt() || slot != waiting)
        return;  // it goes on waiting, or the attempt has closed the socket, which has ended it
    slot = nullptr;
    waiting->complete();
}

socket_calls& watched_socket::sockets() const noexcept { return loop_->sockets(); }

void watched_socket::close_descriptor(void (socket_calls::*how)(int) noexcept) noexcept {
    if (!is_open()) return;
    if (std::exchange(is_watched_, false)) loop_->forget(*this);
    give_back(std::exchange(descriptor_, -1), how);
    end_waiting(reading_, true);
    end_waiting(writing_, true);
}

void watched_socket::give_back(int descriptor, void (socket_calls::*how)(int) noexcept) noexcept {
    (sockets().*how)(descriptor);
}

void watched_socket::end_reading() noexcept {
    is_reading_over_ = true;
    end_waiting(reading_, true);
}

void watched_socket::on_ready(readiness what) noexcept {
    if (includes(what, readiness::hangup)) is_hung_up_ = true;
    if (includes(what, readiness::readable)) {
        may_read_ = true;
        end_waiting(reading_, false);
    }
    if (includes(what, readiness::writable)) {
        may_write_ = true;
        end_waiting(writing_, false);
    }
}

void watched_socket::on_loop_end() noexcept {
    is_watched_ = false;
    close_descriptor();
    loop_ = nullptr;
}

bool io_operation::begin() noexcept {
    const bool is_read = direction_ == watched_socket::direction::reading;
    if (!socket_.is_open() || (is_read && socket_.is_reading_over_)) {
        error_ = ECONNABORTED;
        return true;
    }
    if (slot()) {
        was_busy_ = true;
        return true;
    }
    const bool may_try = is_read ? socket_.may_read_ : socket_.may_write_;
    if (may_try && attempt()) return true;
    slot() = this;
    return false;
}

bool io_operation::abandon() noexcept {
    slot() = nullptr;
    return true;
}

}  // namespace tercet::asyncio
