#pragma once

#include <tercet/futures/queue_errors.hpp>
#include <tercet/futures/time_limit.hpp>
#include <tercet/multiprocessing/codec.hpp>
#include <tercet/multiprocessing/message_queue.hpp>
#include <tercet/multiprocessing/type_hash.hpp>

#include <chrono>
#include <cstddef>

namespace tercet::multiprocessing {

/// First in, first out, between any number of processes and threads: a handle to items in shared memory, which stay
/// there until they are taken or the last handle has gone. It travels as an argument or over a connection, and is the
/// same queue there. Items are copied in and out; there is no thread behind it, so what `put` has returned from is in
/// the queue, and a process may be joined before its results are taken. A process that is killed in the middle of a
/// call leaves the queue whole: its item is there, or not at all. One that is stopped there holds up the others: up to
/// a second beyond their time limits.
///
///     queue<result> results(100);
///     process worker(compute, results);  worker.start();
///     worker.join();
///     result first = results.get();
template <class T>
class queue {
public:
    using value_type = T;

    /// No queue, to be filled in.
    queue() noexcept : items_("queue") {}
    /// Room for `maxsize` items. Throws `std::invalid_argument` for zero, `std::system_error`.
    explicit queue(std::size_t maxsize) : queue(maxsize, "queue") {}
    /// A queue on which `put` never waits, and memory is the bound.
    static queue unbounded() { return queue(message_queue::unbounded); }

    /// Puts a copy of `item`, waiting up to `limit` for room. Throws `queue_full`; `invalid_state_error` when this
    /// handle is closed; `std::invalid_argument` for an item with file descriptors, which cannot lie in a queue;
    /// `std::system_error` (ENOSPC) when there is no memory. Then the item is not in the queue.
    void put(const T& item, time_limit limit = {}) {
        encoder out;
        encode(out, item);
        items_.put(out, limit);
    }
    void put_nowait(const T& item) { put(item, std::chrono::seconds(0)); }

    /// Takes the oldest item, waiting up to `limit` for one. Throws `queue_empty`, `invalid_state_error` when this
    /// handle is closed, also meanwhile, and what decoding throws; then the item is gone.
    T get(time_limit limit = {}) {
        const byte_buffer bytes = items_.get(limit);
        decoder in(bytes.bytes());
        T item = decode<T>(in);
        in.expect_end();
        return item;
    }
    T get_nowait() { return get(std::chrono::seconds(0)); }

    /// A moment later the answers of these may be different. They throw `invalid_state_error` when closed.
    std::size_t qsize() const { return items_.size(); }
    bool empty() const { return qsize() == 0; }
    bool full() const { return qsize() >= items_.maxsize(); }
    std::size_t maxsize() const { return items_.maxsize(); }

    /// This handle is used no more: everything else throws, also where it waits. Other handles do not notice.
    void close() noexcept { items_.close(); }

    template <class Archive>
    void serialize(Archive& archive) {
        if constexpr (Archive::is_saving)
            archive.write_descriptor(items_.descriptor());
        else
            items_.load(archive.read_descriptor(), type_hash<T>);
    }

protected:
    queue(std::size_t maxsize, const char* name)
        : items_(name, queue_errors::checked_maxsize(name, maxsize), type_hash<T>) {}

    message_queue items_;
};

}  // namespace tercet::multiprocessing
