#pragma once

#include <tercet/futures/time_limit.hpp>
#include <tercet/multiprocessing/archive.hpp>
#include <tercet/multiprocessing/byte_buffer.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>

namespace tercet::multiprocessing {

class message_log;

/// What the queues between processes have in common: encoded items in memory that the processes share. The states
/// stand in message_log.cpp. Any thread.
class message_queue {
public:
    static constexpr std::size_t unbounded = std::numeric_limits<std::size_t>::max();

    /// To be filled in by `load`; until then, all else throws `invalid_state_error`. `name` is for error texts.
    explicit message_queue(const char* name) noexcept : name_(name) {}
    message_queue(const char* name, std::size_t maxsize, std::uint64_t type);
    message_queue(message_queue&& other) noexcept;
    message_queue& operator=(message_queue&& other) noexcept;
    ~message_queue();

    /// Throw `queue_full`, `queue_empty`.
    void put(encoder& item, time_limit limit);
    byte_buffer get(time_limit limit);

    std::size_t size() const;
    std::size_t maxsize() const;
    void task_done();
    bool join(time_limit limit);
    void close() noexcept;
    bool is_closed() const noexcept { return is_closed_.load(std::memory_order_acquire); }

    int descriptor() const;
    void load(unique_fd memory, std::uint64_t type);

private:
    message_log& log(const char* method) const;

    const char* name_;
    std::atomic<bool> is_closed_{false};
    std::shared_ptr<message_log> log_;
};

}  // namespace tercet::multiprocessing
