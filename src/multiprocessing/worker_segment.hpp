#pragma once

#include <tercet/multiprocessing/unique_fd.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "crash_record.hpp"
#include "message_ring.hpp"

namespace tercet::multiprocessing {

/// What a message in a ring is.
enum class ring_kind : std::uint32_t {
    // To a worker.
    run = 1,          ///< a request
    run_from_socket,  ///< a frame with a request is on its way through the socket
    // From a worker; the detail is how long the call took, in nanoseconds.
    result,
    error,
    answer_in_socket,  ///< a frame with the answer follows in the socket
};

/// How a worker is to tell the pool that answers are there.
enum class answer_signal : std::uint32_t {
    none,            ///< somebody looks by itself
    ring_bell,       ///< the pool's thread sleeps: write to the pool's eventfd
    ring_loop_bell,  ///< an event loop takes the answers: write to the eventfd that it watches
    wake_waiter      ///< a thread that waits for a result sleeps on `waiter`
};

/// The memory that a pool and one of its workers share: a ring each way, and the words on which they wait.
class worker_segment {
public:
    struct layout {
        ring_cursors requests;
        ring_cursors answers;
        alignas(64) std::atomic<std::uint32_t> worker_sleeps;  ///< the worker's futex: 1 while it sleeps
        std::atomic<std::uint32_t> is_closed;                  ///< there will be no more requests
        alignas(64) std::atomic<answer_signal> signal;
        std::atomic<std::uint32_t> waiter;  ///< a futex, counts the wake-ups
        alignas(64) crash_record crash;     ///< the worker's last words
    };
    static constexpr std::size_t ring_size = std::size_t{64} << 10U;

    worker_segment() noexcept = default;
    worker_segment(worker_segment&& other) noexcept;
    worker_segment& operator=(worker_segment&&) = delete;
    ~worker_segment();

    /// New memory, and the file that it is known by, which cannot change its size. Throws `std::system_error`.
    static worker_segment make(unique_fd& file);
    /// The same memory in the worker. Throws `std::system_error`.
    static worker_segment map(int file);

    layout& head() const noexcept { return *head_; }
    std::span<std::byte> request_room() const noexcept;
    std::span<std::byte> answer_room() const noexcept;

private:
    explicit worker_segment(layout* head) noexcept : head_(head) {}

    layout* head_ = nullptr;
};

}  // namespace tercet::multiprocessing
