// The memfd begins with a page for the header, which every process maps; behind it lie the messages, each a head and
// its bytes, which are written and read with pwrite and pread: so memory that the system does not have is an error and
// not a SIGBUS, and the file grows by itself.
//
//   | header | free ... | head: oldest ... newest :tail | not there yet
//
// A message is put at the tail, which then moves; it is taken at the head, which then moves. Whole pages behind the
// head are given back from time to time. When the log is empty and the tail has come far, both begin at 0 again: they
// are a pair, of which there are two, and one word says which of them counts.
//
// All of it is done under a robust mutex in the header. A process may be killed anywhere, so each change counts from
// one store on: the tail, the head, or the word that selects the pair. Whoever gets the mutex after a death looks
// through the messages between head and tail, whose numbers say how many were put and taken.
//
// Waiting: a waiter notes the count of a place under the mutex and sleeps on it, without the mutex. Who makes something
// to wait for raises the count and wakes all before the store that makes it visible, and with the mutex still held:
// those who wake up get in line for the mutex. So nothing is lost with one who is killed: not before the store, since
// there is nothing then; not after it, since the mutex wakes the next in line; and not one who was woken, since all
// were. `sleepers` only saves the calls; a death may leave it too high, never too low.

#include "message_log.hpp"

#include <tercet/futures/futex.hpp>
#include <tercet/multiprocessing/errors.hpp>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <new>
#include <system_error>
#include <utility>

#include "robust_mutex.hpp"

namespace tercet::multiprocessing {

namespace {

constexpr std::uint64_t header_size = 4'096;
constexpr std::uint64_t expected_magic = 0x5443'4c4f'4731;
/// How far the tail may come before an empty log begins anew, and how much is given back at once.
constexpr std::uint64_t far = 1U << 20U;
/// How much of a message is read together with its head.
constexpr std::size_t read_ahead = 4'096;
/// How long a call without time waits for another one, which needs no more than it takes to copy an item.
constexpr std::chrono::seconds patience{1};

struct record_head {
    std::uint64_t size = 0;
    std::uint64_t number = 0;
};

[[noreturn]] void throw_errno(const char* call) { throw std::system_error(errno, std::system_category(), call); }

void write_at(int fd, const void* bytes, std::size_t size, std::uint64_t position) {
    for (std::size_t done = 0; done < size;) {
        const ssize_t count = ::pwrite(fd, static_cast<const char*>(bytes) + done, size - done,
                                       static_cast<off_t>(header_size + position + done));
        if (count < 0 && errno != EINTR) throw_errno("queue: put: pwrite");
        if (count > 0) done += static_cast<std::size_t>(count);
    }
}

/// At least `least` bytes, and up to `size`.
std::size_t read_at(int fd, void* bytes, std::size_t least, std::size_t size, std::uint64_t position) {
    std::size_t done = 0;
    do {
        const ssize_t count = ::pread(fd, static_cast<char*>(bytes) + done, size - done,
                                      static_cast<off_t>(header_size + position + done));
        if (count < 0 && errno != EINTR) throw_errno("queue: get: pread");
        if (count == 0 && done < least) throw decode_error("queue: get: a message is cut off");
        if (count > 0) done += static_cast<std::size_t>(count);
    } while (done < least);
    return done;
}

void give_back(int fd, std::uint64_t from, std::uint64_t to) noexcept {
    ::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(header_size + from),
                static_cast<off_t>(to - from));
}

}  // namespace

struct message_log::span_of_file {
    std::atomic<std::uint64_t> head{0};
    std::atomic<std::uint64_t> tail{0};
};

struct message_log::waiting_place {
    std::atomic<std::uint32_t> count{0};
    std::uint32_t sleepers = 0;
};

struct message_log::header {
    std::uint64_t magic = expected_magic;
    std::uint64_t type = 0;
    std::uint64_t maxsize = 0;
    robust_mutex mutex{};
    std::array<span_of_file, 2> spans{};
    std::atomic<std::uint32_t> selected{0};
    std::uint64_t given_back = 0;  ///< the pages before this place; only a hint
    std::uint64_t put = 0;
    std::uint64_t taken = 0;
    std::uint64_t done = 0;
    waiting_place messages;
    waiting_place room;
    waiting_place all_done;

    span_of_file& span() noexcept { return spans[selected.load(std::memory_order_acquire) & 1U]; }
};

/// Holds the mutex of a log.
class message_log::guard {
public:
    explicit guard(message_log& log) : log_(log) {}
    guard(const guard&) = delete;
    guard& operator=(const guard&) = delete;
    ~guard() { unlock(); }

    /// False: it was not free by `deadline`, nor in the time that who has it may need. Throws `std::system_error`.
    bool lock(clock::time_point deadline = clock::time_point::max()) {
        robust_mutex& mutex = log_.head_->mutex;
        auto how = mutex.try_lock();
        if (how == robust_mutex::outcome::busy) how = mutex.lock(std::max(deadline, clock::now() + patience));
        if (how == robust_mutex::outcome::recovered) log_.recover();
        is_held_ = how != robust_mutex::outcome::busy;
        return is_held_;
    }
    void unlock() noexcept {
        if (std::exchange(is_held_, false)) log_.head_->mutex.unlock();
    }

private:
    message_log& log_;
    bool is_held_ = false;
};

message_log::message_log(std::size_t maxsize, std::uint64_t type)
    : memory_(::memfd_create("tercet-queue", MFD_CLOEXEC | MFD_ALLOW_SEALING)) {
    static_assert(sizeof(header) <= header_size);
    static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
    if (!memory_) throw_errno("queue: memfd_create");
    if (memory_.get() <= STDERR_FILENO) {
        unique_fd moved(::fcntl(memory_.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
        if (!moved) throw_errno("queue: fcntl(F_DUPFD_CLOEXEC)");
        memory_ = std::move(moved);
    }
    if (::ftruncate(memory_.get(), header_size) != 0) throw_errno("queue: ftruncate");
    ::fcntl(memory_.get(), F_ADD_SEALS, F_SEAL_SHRINK);
    map();
    new (head_) header;
    head_->type = type;
    head_->maxsize = maxsize;
    head_->mutex.initialise();
}

message_log::message_log(unique_fd memory, std::uint64_t type) : memory_(std::move(memory)) {
    struct stat file {};
    if (::fstat(memory_.get(), &file) != 0 || file.st_size < static_cast<off_t>(header_size) ||
        (::fcntl(memory_.get(), F_GET_SEALS) & F_SEAL_SHRINK) == 0)
        throw decode_error("queue: what came in its place is no queue");
    map();
    if (head_->magic == expected_magic && head_->type == type) return;
    const bool is_log = head_->magic == expected_magic;
    ::munmap(head_, header_size);
    throw decode_error(is_log ? "queue: it has items of another type" : "queue: what came in its place is no queue");
}

message_log::~message_log() { ::munmap(head_, header_size); }

void message_log::map() {
    void* const mapped = ::mmap(nullptr, header_size, PROT_READ | PROT_WRITE, MAP_SHARED, memory_.get(), 0);
    if (mapped == MAP_FAILED) throw_errno("queue: mmap");
    head_ = static_cast<header*>(mapped);
}

/// Makes the counts right, which whoever died may have left one behind.
void message_log::recover() noexcept {
    span_of_file& span = head_->span();
    const std::uint64_t tail = span.tail.load(std::memory_order_acquire);
    std::uint64_t position = span.head.load(std::memory_order_acquire);
    if (position == tail) {
        head_->taken = head_->put;
        return;
    }
    bool is_first = true;
    while (position < tail && tail - position >= sizeof(record_head)) {
        record_head record;
        if (::pread(memory_.get(), &record, sizeof record, static_cast<off_t>(header_size + position)) != sizeof record)
            return;
        if (record.size > tail - position - sizeof record) return;  // the memory was written over
        if (std::exchange(is_first, false)) head_->taken = record.number;
        head_->put = record.number + 1;
        position += sizeof record + record.size;
    }
}

/// Sleeps until the place is called at. False when the deadline has passed.
bool message_log::wait(guard& lock, waiting_place& place, clock::time_point deadline) {
    if (deadline <= clock::now()) return false;
    const std::uint32_t seen = place.count.load(std::memory_order_relaxed);
    ++place.sleepers;
    lock.unlock();
    futex_wait(place.count, seen, deadline, futex_scope::shared);
    if (!lock.lock(deadline)) return false;  // `sleepers` stays too high
    --place.sleepers;
    return true;
}

void message_log::wake(waiting_place& place) noexcept {
    if (place.sleepers == 0) return;
    place.count.fetch_add(1, std::memory_order_relaxed);
    futex_wake(place.count, std::numeric_limits<int>::max(), futex_scope::shared);
}

message_log::outcome message_log::put(std::span<const std::byte> message, clock::time_point deadline,
                                      const std::atomic<bool>& is_closed) {
    guard lock(*this);
    if (!lock.lock(deadline)) return outcome::timed_out;
    while (head_->put - head_->taken >= head_->maxsize) {
        if (is_closed.load(std::memory_order_acquire)) return outcome::closed;
        if (!wait(lock, head_->room, deadline)) return outcome::timed_out;
    }
    if (is_closed.load(std::memory_order_acquire)) return outcome::closed;
    span_of_file& span = head_->span();
    const std::uint64_t tail = span.tail.load(std::memory_order_relaxed);
    const record_head record{message.size(), head_->put};
    write_at(memory_.get(), &record, sizeof record, tail);
    write_at(memory_.get(), message.data(), message.size(), tail + sizeof record);
    wake(head_->messages);
    if (at_step) at_step(step::put_before);
    span.tail.store(tail + sizeof record + message.size(), std::memory_order_release);
    if (at_step) at_step(step::put_after);
    ++head_->put;
    return outcome::done;
}

message_log::outcome message_log::get(byte_buffer& message, clock::time_point deadline,
                                      const std::atomic<bool>& is_closed) {
    guard lock(*this);
    if (!lock.lock(deadline)) return outcome::timed_out;
    while (head_->put == head_->taken) {
        if (is_closed.load(std::memory_order_acquire)) return outcome::closed;
        if (!wait(lock, head_->messages, deadline)) return outcome::timed_out;
    }
    if (is_closed.load(std::memory_order_acquire)) return outcome::closed;
    span_of_file& span = head_->span();
    const std::uint64_t head = span.head.load(std::memory_order_relaxed);
    const std::uint64_t tail = span.tail.load(std::memory_order_relaxed);
    if (tail < head || tail - head < sizeof(record_head)) throw decode_error("queue: get: its memory was overwritten");
    const std::uint64_t there = tail - head;
    std::array<std::byte, sizeof(record_head) + read_ahead> start;
    const std::size_t count = read_at(memory_.get(), start.data(), sizeof(record_head),
                                      static_cast<std::size_t>(std::min<std::uint64_t>(start.size(), there)), head);
    record_head record;
    std::memcpy(&record, start.data(), sizeof record);
    if (record.size > there - sizeof record) throw decode_error("queue: get: a message without an end");
    const auto size = static_cast<std::size_t>(record.size);
    message.resize(size);
    const std::size_t read = std::min(count - sizeof record, size);
    if (read != 0) std::memcpy(message.data(), start.data() + sizeof record, read);
    if (read < size)
        read_at(memory_.get(), message.data() + read, size - read, size - read, head + sizeof record + read);
    wake(head_->room);
    if (at_step) at_step(step::get_before);
    span.head.store(head + sizeof record + size, std::memory_order_release);
    if (at_step) at_step(step::get_after);
    ++head_->taken;
    use_again();
    return outcome::done;
}

/// Gives back memory that was read.
void message_log::use_again() noexcept {
    span_of_file& span = head_->span();
    const std::uint64_t head = span.head.load(std::memory_order_relaxed);
    const std::uint64_t tail = span.tail.load(std::memory_order_relaxed);
    if (head == tail && tail >= far) {
        if (tail > 2 * far) give_back(memory_.get(), far, tail);
        const std::uint32_t next = (head_->selected.load(std::memory_order_relaxed) & 1U) ^ 1U;
        head_->spans[next].head.store(0, std::memory_order_relaxed);
        head_->spans[next].tail.store(0, std::memory_order_relaxed);
        head_->selected.store(next, std::memory_order_release);
        head_->given_back = 0;
    } else if (head >= head_->given_back + far) {
        const std::uint64_t whole = head / far * far;
        give_back(memory_.get(), head_->given_back, whole);
        head_->given_back = whole;
    }
}

bool message_log::done_with_one() {
    guard lock(*this);
    lock.lock();
    if (head_->done == head_->put) return false;
    if (head_->done + 1 == head_->put) wake(head_->all_done);
    ++head_->done;
    return true;
}

message_log::outcome message_log::join(clock::time_point deadline, const std::atomic<bool>& is_closed) {
    guard lock(*this);
    if (!lock.lock(deadline)) return outcome::timed_out;
    while (head_->done != head_->put) {
        if (is_closed.load(std::memory_order_acquire)) return outcome::closed;
        if (!wait(lock, head_->all_done, deadline)) return outcome::timed_out;
    }
    return outcome::done;
}

std::size_t message_log::size() {
    guard lock(*this);
    lock.lock();
    return static_cast<std::size_t>(head_->put - head_->taken);
}

std::size_t message_log::maxsize() const noexcept { return static_cast<std::size_t>(head_->maxsize); }

void message_log::wake_all() noexcept {
    guard lock(*this);
    try {
        lock.lock(clock::time_point::min());  // without it, after a while: who has it may have been stopped
    } catch (const std::system_error&) {      // NOLINT(bugprone-empty-catch): the memory was written over
    }
    for (auto* const place : {&head_->messages, &head_->room, &head_->all_done}) {
        place->count.fetch_add(1, std::memory_order_relaxed);
        futex_wake(place->count, std::numeric_limits<int>::max(), futex_scope::shared);
    }
}

}  // namespace tercet::multiprocessing
