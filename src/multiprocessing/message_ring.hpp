#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

namespace tercet::multiprocessing {

/// What stands in front of a message in a ring.
struct ring_record {
    /// How far a request is. Answers are `ready`.
    enum state : std::uint32_t {
        ready = 1,  ///< written
        claimed,    ///< the worker runs it, or has run it
        revoked,    ///< taken back before a worker claimed it; skipped
    };

    std::atomic<std::uint32_t> at;
    std::uint32_t kind;
    std::uint64_t size;    ///< of the payload that follows
    std::uint64_t detail;  ///< of a request: not 0 if its call is to stop; of an answer: see `ring_kind`
};

/// Where the two sides of a ring are, in bytes since the beginning; each is written by one side alone.
struct ring_cursors {
    alignas(64) std::atomic<std::uint64_t> written{0};
    alignas(64) std::atomic<std::uint64_t> read{0};
};

/// The writing end of a ring of messages in shared memory. One thread at a time.
class ring_writer {
public:
    /// `room`: a power of two of bytes, aligned as a record.
    ring_writer(ring_cursors& cursors, std::span<std::byte> room) noexcept : cursors_(cursors), room_(room) {}

    /// How large the payload of a message may be: a quarter of the ring, so that one always fits sooner or later.
    std::size_t max_payload() const noexcept { return room_.size() / 4 - sizeof(ring_record); }

    /// Whether a message of that size could be written now.
    bool has_room(std::size_t size) noexcept;
    /// Whether the reader has released all that was written.
    bool is_all_read() const noexcept { return cursors_.read.load(std::memory_order_acquire) == written_; }
    /// Whether the reader's cursor was seen where it cannot be; there is no room any more.
    bool is_malformed() const noexcept { return is_malformed_; }

    /// Where the last message ends, for `has_released`.
    std::uint64_t position() const noexcept { return written_; }
    /// Whether the reader is done with the message that ends there: then its record is no more.
    bool has_released(std::uint64_t end) const noexcept { return cursors_.read.load(std::memory_order_acquire) >= end; }

    /// Copies a message into the ring, for which there is room, and lets the reader see it. The record is valid until
    /// the message is released and another one is written.
    ring_record& write(std::uint32_t kind, std::uint64_t detail, std::span<const std::byte> payload) noexcept;

private:
    std::size_t padding_before(std::size_t record_size) const noexcept;

    ring_cursors& cursors_;
    std::span<std::byte> room_;
    std::uint64_t written_ = 0;
    std::uint64_t read_ = 0;  // as it was seen last
    bool is_malformed_ = false;
};

/// The reading end. One thread at a time. What stands in the ring is input from outside: a cursor or a size that cannot
/// be ends the reading for good.
class ring_reader {
public:
    /// A message, which stays in the ring until it is released.
    struct message {
        ring_record* record = nullptr;  ///< null: there is none
        std::uint32_t kind = 0;
        std::uint64_t detail = 0;
        std::span<const std::byte> payload;
    };

    ring_reader(ring_cursors& cursors, std::span<std::byte> room) noexcept : cursors_(cursors), room_(room) {}

    /// Whether there is something to take; also when that is malformed. Any thread.
    bool has_message() const noexcept {
        return cursors_.written.load(std::memory_order_acquire) != taken_.load(std::memory_order_relaxed);
    }

    /// The next message, without taking it.
    message front() noexcept;
    /// Goes on to the one after `front`.
    void take() noexcept { taken_.store(next_, std::memory_order_relaxed); }
    /// Gives the room of all that was taken back to the writer.
    void release() noexcept { cursors_.read.store(taken_.load(std::memory_order_relaxed), std::memory_order_release); }

    bool is_malformed() const noexcept { return is_malformed_; }

private:
    ring_cursors& cursors_;
    std::span<std::byte> room_;
    std::atomic<std::uint64_t> taken_{0};
    std::uint64_t next_ = 0;
    bool is_malformed_ = false;
};

}  // namespace tercet::multiprocessing
