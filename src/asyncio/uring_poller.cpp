// A source has a registration, a registration has three requests: polls for reading and for writing, and a receive that
// goes on by itself (multishot) into buffers that the kernel chooses. What should be under way is a boolean of each
// request; what is differs from that only for registrations on the list of changed ones. wait() goes through the list,
// queues what is missing and cancels what is too much, and hands all of it over in the system call that waits.
//
//   level      a poll for each direction of interest, once, and again after each report
//   edge       a multishot poll for each direction
//   on_demand  nothing, until a call had to wait
//
// The kernel adds POLLRDHUP to what is asked for. So once the peer has ended its stream, a poll for writing would be
// over at once, again and again, while nothing can be written; from then on it is a multishot one, which comes back
// when there is room. For level that is cancelled after each report and begun anew.
//
// Receiving on demand: the first time by a plain recv(). When that had to wait, by the multishot receive, after which a
// message costs no system call of its own: its bytes come with the completion, and receive() copies them out. They are
// never overtaken, for recv() is called only while no such receive is under way. It is given up, and recv() called
// again, when messages fill whole buffers (is_bulk: a copy would cost more than the call), when nobody takes what
// arrives, and when there are no buffers left.
//
// Requests refer to files, not to descriptors, from the moment at which they are handed over; so a descriptor may be
// closed while one is under way, and the file goes when that is cancelled, within the next turns. A listener's port is
// to be free at once: its requests are cancelled in remove(). A registration lives until its requests have ended.
//
// Completions are reported a few at a time, and what becomes ready runs in between, as epoll_poller has it; while there
// are others in the ring, nothing is submitted.
//
// Nobody is overtaken for long. A request for what is ready already is over at once, while what becomes ready later is
// told by deferred work, of which the kernel does a few pieces in a call (20 since Linux 6.13). So
// requests are handed over a few at a time, the oldest change first: else those that are always ready soon would all
// have their turn each time before the next few in line.
//
// With IORING_SETUP_SINGLE_ISSUER the ring belongs to one thread; when the loop is run on another, that makes a new
// one.

#include "asyncio/uring_poller.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bitset>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstring>
#include <system_error>
#include <thread>
#include <utility>

#include "asyncio/uring_ring.hpp"

namespace tercet::asyncio {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t buffer_size = std::size_t{4} << 10;
constexpr std::uint16_t buffer_count = 256;
constexpr std::size_t buffer_memory = buffer_size * buffer_count;
constexpr std::size_t buffer_ring_memory = buffer_count * sizeof(io_uring_buf);
constexpr std::uint16_t buffer_group = 0;
constexpr unsigned handed_over_at_once = 32;  // registrations
constexpr std::size_t most_held = 8;          // buffers of one source whose reader takes nothing
constexpr int small_reads_of_no_bulk = 16;    // in a row

void* map(std::size_t size) noexcept {
    void* const memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? nullptr : memory;
}

readiness readiness_of(unsigned events) noexcept {
    readiness what = readiness::none;
    if (events & (POLLIN | POLLPRI)) what = what | readiness::readable;
    if (events & POLLOUT) what = what | readiness::writable;
    if (events & POLLRDHUP) what = what | readiness::readable | readiness::hangup;
    if (events & (POLLERR | POLLHUP)) what = what | readiness::both | readiness::hangup;
    return what;
}

}  // namespace

poll_report report_of_poll(int result) noexcept {
    if (result == -ECANCELED || result == 0) return {};
    if (result < 0 || (result & POLLNVAL) != 0) return {readiness::both | readiness::hangup, true};
    return {readiness_of(static_cast<unsigned>(result)), false};
}

namespace {

/// Of no other thread, as an id of pthreads is, which goes on to a thread that is made when another has ended.
std::uint64_t number_of_this_thread() noexcept {
    static std::atomic<std::uint64_t> last{0};
    constinit thread_local std::uint64_t mine = 0;
    if (mine == 0) mine = last.fetch_add(1, std::memory_order_relaxed) + 1;
    return mine;
}

}  // namespace

struct uring_poller::request {
    enum class kind : std::uint8_t { readable, writable, receive };
    registration* owner;
    kind what;
    bool is_wanted = false;
    bool is_under_way = false;
    bool is_being_cancelled = false;
};

struct uring_poller::registration {
    struct filled {
        std::uint16_t buffer;
        std::uint32_t begin;
        std::uint32_t end;
    };

    registration(io_source& watched, trigger trigger_of_it) : source(&watched), how(trigger_of_it) {}

    /// False: there is no memory to do it, or there was none for what came before; the next call fails.
    bool keep(std::uint16_t buffer, std::uint32_t size) noexcept {
        if (has_lost) return false;
        try {
            received.push_back({buffer, 0, size});
            return true;
        } catch (const std::bad_alloc&) {
            has_lost = has_end = true;
            return false;
        }
    }
    bool is_free() const noexcept { return !reading.is_under_way && !writing.is_under_way && !receiving.is_under_way; }

    io_source* source;  // null once it is removed
    trigger how;
    request reading{this, request::kind::readable};
    request writing{this, request::kind::writable};
    request receiving{this, request::kind::receive};
    std::vector<filled> received;
    std::size_t taken = 0;  // of those
    int error = 0;          // of the receive, for the next call
    int small_reads = 0;
    bool has_end = false;
    bool has_lost = false;  // something that was received: nothing that comes after it may be read
    bool is_bulk = false;
    bool is_listener = false;
    bool has_peer_ended = false;  // as far as polls for writing know
    bool is_changed = false;
    registration* next_changed = nullptr;
    registration* previous = nullptr;
    registration* next = nullptr;
};

std::unique_ptr<uring_poller> uring_poller::make_if_allowed() {
    std::unique_ptr<uring_poller> made(new uring_poller);
    io_uring ring{};
    if (open_ring(ring) != 0) return nullptr;
    made->start(ring);
    return made;
}

/// With a ring that no thread uses yet.
void uring_poller::start(const io_uring& ring) noexcept {
    ring_ = ring;
    has_ring_ = true;
    is_enabled_ = (ring_.flags & IORING_SETUP_R_DISABLED) == 0;
    owner_ = 0;
    add_buffers();
}

/// Without them there is no multishot receive.
void uring_poller::add_buffers() noexcept {
    has_multishot_ = false;
    if (!buffers_) buffers_ = static_cast<char*>(map(buffer_memory));
    if (!buffer_ring_) buffer_ring_ = static_cast<io_uring_buf_ring*>(map(buffer_ring_memory));
    if (!buffers_ || !buffer_ring_) return;
    io_uring_buf_reg where{};
    where.ring_addr = reinterpret_cast<std::uintptr_t>(buffer_ring_);
    where.ring_entries = buffer_count;
    where.bgid = buffer_group;
    if (::io_uring_register_buf_ring(&ring_, &where, 0) != 0) return;
    has_multishot_ = true;
    ::io_uring_buf_ring_init(buffer_ring_);
    std::bitset<buffer_count> is_held;  // not by a new poller, but by one that changes its ring
    for (const registration* each = first_; each; each = each->next)
        for (std::size_t i = each->taken; i < each->received.size(); ++i) is_held.set(each->received[i].buffer);
    for (std::uint16_t each = 0; each < buffer_count; ++each)
        if (!is_held[each]) give_back(each);
}

uring_poller::~uring_poller() {
    for (registration* each = first_; each; each = each->next) {
        each->source = nullptr;  // it may be gone
        each->reading.is_wanted = each->writing.is_wanted = each->receiving.is_wanted = false;
        mark(*each);
    }
    if (is_enabled_ && owner_ == number_of_this_thread()) {  // files that were closed go now, not some time later
        queue_requests(UINT_MAX);
        ::io_uring_submit_and_get_events(&ring_);
    }
    if (has_ring_) end_ring(ring_);
    if (buffers_) ::munmap(buffers_, buffer_memory);
    if (buffer_ring_) ::munmap(buffer_ring_, buffer_ring_memory);
    while (first_) delete std::exchange(first_, first_->next);
}

void uring_poller::attach() {
    if (owner_ == number_of_this_thread()) return;
    const bool is_bound = (ring_.flags & IORING_SETUP_SINGLE_ISSUER) != 0;
    if (is_enabled_ && is_bound && owner_ != 0) {
        io_uring own{};
        if (const int error = open_ring(own); error != 0)
            throw std::system_error(error, std::system_category(),
                                    "event_loop: io_uring is refused to this thread, and the loop has run on another; "
                                    "run it there, or choose loop_backend::epoll");
        reap(UINT_MAX);
        end_ring(ring_);
        start(own);
        for (registration* each = first_; each; each = each->next) {
            for (request* const ended : {&each->reading, &each->writing, &each->receiving})
                ended->is_under_way = ended->is_being_cancelled = false;
            mark(*each);
        }
    }
    // Not io_uring_enable_rings(): Debian 12's shared library lacks it.
    if (!is_enabled_) ::syscall(SYS_io_uring_register, ring_.ring_fd, IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
    is_enabled_ = true;
    owner_ = number_of_this_thread();
}

// Sources

void uring_poller::add(io_source& source, readiness interest, trigger how) {
    if (how != trigger::on_demand) {
        struct stat kind {};
        int error = ::fstat(source.descriptor(), &kind) == 0 ? 0 : errno;
        if (error == 0 && (S_ISREG(kind.st_mode) || S_ISDIR(kind.st_mode))) error = EPERM;  // as epoll has it
        if (error != 0)
            throw std::system_error(error, std::system_category(),
                                    fmt::format("watch descriptor {}", source.descriptor()));
    }
    auto* const added = new registration(source, how);
    added->next = first_;
    if (first_) first_->previous = added;
    first_ = added;
    place_of(source) = added;
    if (how == trigger::on_demand) return;
    added->reading.is_wanted = includes(interest, readiness::readable);
    added->writing.is_wanted = includes(interest, readiness::writable);
    mark(*added);
}

void uring_poller::modify(io_source& source, readiness interest, trigger how) {
    // A new one, since the descriptor may have been closed and its number given again.
    void* const before = place_of(source);
    add(source, interest, how);
    void* const after = std::exchange(place_of(source), before);
    remove(source);
    place_of(source) = after;
}

void uring_poller::remove(io_source& source) noexcept {
    auto* const removed = static_cast<registration*>(std::exchange(place_of(source), nullptr));
    if (!removed) return;
    removed->source = nullptr;
    removed->reading.is_wanted = removed->writing.is_wanted = removed->receiving.is_wanted = false;
    for (; removed->taken < removed->received.size(); ++removed->taken)
        give_back(removed->received[removed->taken].buffer);
    mark(*removed);
    if (removed->is_listener && !removed->is_free() && owner_ == number_of_this_thread()) {
        queue_requests(UINT_MAX);
        ::io_uring_submit_and_get_events(&ring_);
    }
}

void uring_poller::mark(registration& changed) noexcept {
    if (std::exchange(changed.is_changed, true)) return;
    changed.next_changed = nullptr;
    *last_changed_ = &changed;
    last_changed_ = &changed.next_changed;
}

// Requests

io_uring_sqe& uring_poller::next_entry() noexcept {
    io_uring_sqe* entry = ::io_uring_get_sqe(&ring_);
    while (!entry) {
        ::io_uring_submit(&ring_);
        entry = ::io_uring_get_sqe(&ring_);
    }
    return *entry;
}

void uring_poller::begin(request& begun) noexcept {
    registration& on = *begun.owner;
    io_uring_sqe& entry = next_entry();
    const int descriptor = on.source->descriptor();
    if (begun.what == request::kind::receive) {
        ::io_uring_prep_recv_multishot(&entry, descriptor, nullptr, 0, 0);
        entry.flags |= IOSQE_BUFFER_SELECT;
        entry.buf_group = buffer_group;
        entry.ioprio |= IORING_RECVSEND_POLL_FIRST;
    } else {
        const bool is_for_reading = begun.what == request::kind::readable;
        const unsigned events = is_for_reading ? POLLIN | POLLRDHUP : POLLOUT;
        if (on.how == trigger::edge || (on.has_peer_ended && !is_for_reading))
            ::io_uring_prep_poll_multishot(&entry, descriptor, events);
        else
            ::io_uring_prep_poll_add(&entry, descriptor, events);
    }
    ::io_uring_sqe_set_data(&entry, &begun);
    begun.is_under_way = true;
}

void uring_poller::cancel(request& ended) noexcept {
    io_uring_sqe& entry = next_entry();
    ::io_uring_prep_cancel(&entry, &ended, 0);
    ::io_uring_sqe_set_data(&entry, nullptr);
    ended.is_being_cancelled = true;
}

void uring_poller::queue_requests(unsigned most) noexcept {
    for (; changed_ && most > 0; --most) {
        registration& on = *std::exchange(changed_, changed_->next_changed);
        if (!changed_) last_changed_ = &changed_;
        on.is_changed = false;
        for (request* const each : {&on.reading, &on.writing, &on.receiving}) {
            if (each->is_wanted && !each->is_under_way)
                begin(*each);
            else if (!each->is_wanted && each->is_under_way && !each->is_being_cancelled)
                cancel(*each);
        }
        if (!on.source && on.is_free()) {
            (on.previous ? on.previous->next : first_) = on.next;
            if (on.next) on.next->previous = on.previous;
            delete &on;
        }
    }
}

void uring_poller::wait(std::optional<std::chrono::nanoseconds> limit) noexcept {
    if (owner_ != number_of_this_thread()) [[unlikely]] {  // `attach` has failed, and the loop ends
        constexpr std::chrono::nanoseconds look_every = 1ms;
        return std::this_thread::sleep_for(std::min(limit.value_or(look_every), look_every));
    }
    if (::io_uring_cq_ready(&ring_) > 0) return reap(1);
    queue_requests(handed_over_at_once);
    if (changed_) limit = std::chrono::nanoseconds(0);  // the rest in the next turn
    if (limit && limit->count() == 0) {
        const unsigned flags = __atomic_load_n(ring_.sq.kflags, __ATOMIC_RELAXED);
        const bool has_work = (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
        if (has_work)
            ::io_uring_submit_and_get_events(&ring_);
        else if (::io_uring_sq_ready(&ring_) > 0)
            ::io_uring_submit(&ring_);
    } else {
        __kernel_timespec duration{};
        if (limit) {
            duration.tv_sec = limit->count() / 1'000'000'000;
            duration.tv_nsec = limit->count() % 1'000'000'000;
        }
        io_uring_cqe* first = nullptr;
        ::io_uring_submit_and_wait_timeout(&ring_, &first, 1, limit ? &duration : nullptr, nullptr);
    }
    reap(1);
}

/// Goes through so many batches at most.
void uring_poller::reap(unsigned batches) noexcept {
    std::array<io_uring_cqe*, reported_at_once> batch;
    for (unsigned count = reported_at_once; batches > 0 && count == reported_at_once; --batches) {
        count = ::io_uring_peek_batch_cqe(&ring_, batch.data(), reported_at_once);
        for (unsigned i = 0; i < count; ++i) {
            auto* const done = static_cast<request*>(::io_uring_cqe_get_data(batch[i]));
            if (done) complete(*done, batch[i]->res, batch[i]->flags);
        }
        ::io_uring_cq_advance(&ring_, count);
    }
}

void uring_poller::complete(request& done, int result, std::uint32_t flags) noexcept {
    registration& on = *done.owner;
    if (!(flags & IORING_CQE_F_MORE)) done.is_under_way = done.is_being_cancelled = false;
    if (!on.source) {
        if (flags & IORING_CQE_F_BUFFER) give_back(static_cast<std::uint16_t>(flags >> IORING_CQE_BUFFER_SHIFT));
        if (on.is_free()) mark(on);
        return;
    }
    if (done.what == request::kind::receive) return complete_receive(on, result, flags);
    auto [what, has_failed] = report_of_poll(result);
    if (has_failed) {
        done.is_wanted = false;
        if (done.is_under_way && !done.is_being_cancelled) mark(on);
        on.source->on_ready(what);
        return;
    }
    if (done.what == request::kind::writable && !includes(what, readiness::writable)) {
        if (result > 0) on.has_peer_ended = true;
        what = readiness::none;
    }
    if (what != readiness::none) {
        if (on.how == trigger::on_demand) done.is_wanted = false;
        if (on.how == trigger::level && done.is_under_way && !done.is_being_cancelled) cancel(done);
    }
    if (done.is_wanted != (done.is_under_way && !done.is_being_cancelled)) mark(on);
    if (what != readiness::none) on.source->on_ready(what);
}

void uring_poller::complete_receive(registration& on, int result, std::uint32_t flags) noexcept {
    request& receiving = on.receiving;
    readiness what = readiness::readable;
    if (result > 0) {
        const auto buffer = static_cast<std::uint16_t>(flags >> IORING_CQE_BUFFER_SHIFT);
        if (!on.keep(buffer, static_cast<std::uint32_t>(result))) {
            give_back(buffer);
            what = readiness::both | readiness::hangup;
        }
        if (static_cast<std::size_t>(result) == buffer_size) {
            on.is_bulk = true;
            on.small_reads = 0;
        }
        if (on.is_bulk || on.has_lost || on.received.size() - on.taken >= most_held) receiving.is_wanted = false;
    } else {
        if (flags & IORING_CQE_F_BUFFER) give_back(static_cast<std::uint16_t>(flags >> IORING_CQE_BUFFER_SHIFT));
        receiving.is_wanted = false;
        if (result == 0) {
            on.has_end = true;
            what = what | readiness::hangup;
        } else if (result == -EINVAL) {
            has_multishot_ = false;  // an older kernel
        } else if (result != -ENOBUFS && result != -ECANCELED && result != -EINTR) {
            on.error = -result;
            what = readiness::both | readiness::hangup;
        }
    }
    if (receiving.is_wanted != (receiving.is_under_way && !receiving.is_being_cancelled)) mark(on);
    on.source->on_ready(what);
}

// Calls

int uring_poller::connect_error(io_source& source) noexcept {
    const int error = poller::connect_error(source);
    auto* const on = static_cast<registration*>(place_of(source));
    if (error == EINPROGRESS && on && on->how == trigger::on_demand) {
        on->writing.is_wanted = true;
        mark(*on);
    }
    return error;
}

int uring_poller::accept(io_source& listener, socket_address& peer) noexcept {
    const int accepted = poller::accept(listener, peer);
    auto* const on = static_cast<registration*>(place_of(listener));
    if (accepted < 0 && errno == EAGAIN && on && on->how == trigger::on_demand) {
        on->is_listener = true;
        on->reading.is_wanted = true;
        mark(*on);
    }
    return accepted;
}

ssize_t uring_poller::send(io_source& source, std::string_view data) noexcept {
    const ssize_t count = poller::send(source, data);
    want_write(source, count);
    return count;
}

ssize_t uring_poller::send_file(io_source& source, int file, off_t& offset, std::size_t count) noexcept {
    const ssize_t sent = poller::send_file(source, file, offset, count);
    want_write(source, sent);
    return sent;
}

/// After a call with that result: if it had to wait.
void uring_poller::want_write(io_source& source, ssize_t result) noexcept {
    auto* const on = static_cast<registration*>(place_of(source));
    if (result >= 0 || errno != EAGAIN || !on || on->how != trigger::on_demand) return;
    on->writing.is_wanted = true;
    mark(*on);
}

ssize_t uring_poller::receive(io_source& source, std::span<char> into) noexcept {
    auto* const on = static_cast<registration*>(place_of(source));
    if (!on || on->how != trigger::on_demand) return poller::receive(source, into);
    if (on->taken < on->received.size()) return take(*on, into);
    if (on->error != 0) {
        errno = std::exchange(on->error, 0);
        return -1;
    }
    if (on->has_lost) {
        errno = ENOMEM;
        return -1;
    }
    if (on->has_end) return 0;
    if (on->receiving.is_under_way) {
        errno = EAGAIN;
        return -1;
    }
    return receive_directly(*on, into);
}

ssize_t uring_poller::take(registration& from, std::span<char> into) noexcept {
    std::size_t total = 0;
    while (total < into.size() && from.taken < from.received.size()) {
        registration::filled& next = from.received[from.taken];
        const std::size_t count = std::min<std::size_t>(into.size() - total, next.end - next.begin);
        std::memcpy(into.data() + total, buffers_ + buffer_size * next.buffer + next.begin, count);
        total += count;
        next.begin += static_cast<std::uint32_t>(count);
        if (next.begin < next.end) break;
        give_back(next.buffer);
        ++from.taken;
    }
    if (from.taken == from.received.size()) {
        from.received.clear();
        from.taken = 0;
        // Less than was asked for: the caller waits for a report.
        if (total < into.size() && !from.receiving.is_under_way && !from.has_end) want_read(from);
    }
    return static_cast<ssize_t>(total);
}

ssize_t uring_poller::receive_directly(registration& from, std::span<char> into) noexcept {
    const ssize_t count = poller::receive(*from.source, into);
    if (count < 0) {
        const int error = errno;
        if (error == EAGAIN) want_read(from);
        errno = error;
        return count;
    }
    if (count == 0) from.has_end = true;
    if (from.is_bulk && count > 0) {
        from.small_reads = static_cast<std::size_t>(count) < buffer_size ? from.small_reads + 1 : 0;
        if (from.small_reads > small_reads_of_no_bulk) from.is_bulk = false;
    }
    if (count > 0 && static_cast<std::size_t>(count) < into.size()) want_read(from);
    return count;
}

void uring_poller::want_read(registration& waiting) noexcept {
    (waiting.is_bulk || !has_multishot_ ? waiting.reading : waiting.receiving).is_wanted = true;
    mark(waiting);
}

void uring_poller::give_back(std::uint16_t buffer) noexcept {
    ::io_uring_buf_ring_add(buffer_ring_, buffers_ + buffer_size * buffer, buffer_size, buffer,
                            ::io_uring_buf_ring_mask(buffer_count), 0);
    ::io_uring_buf_ring_advance(buffer_ring_, 1);
}

}  // namespace tercet::asyncio
