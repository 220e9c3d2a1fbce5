#pragma once

#include <tercet/multiprocessing/byte_buffer.hpp>
#include <tercet/multiprocessing/unique_fd.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

namespace tercet::multiprocessing {

/// Messages in a memfd, one behind the other, for all processes that have it. The protocol stands in message_log.cpp.
class message_log {
public:
    using clock = std::chrono::steady_clock;
    enum class outcome { done, timed_out, closed };

    /// A new one. Throws `std::system_error`.
    message_log(std::size_t maxsize, std::uint64_t type);
    /// The one that another process has sent. Throws `decode_error` when it is none, or one for another type.
    message_log(unique_fd memory, std::uint64_t type);
    message_log(const message_log&) = delete;
    message_log& operator=(const message_log&) = delete;
    ~message_log();

    /// `is_closed` ends a wait, after `wake_all`.
    outcome put(std::span<const std::byte> message, clock::time_point deadline, const std::atomic<bool>& is_closed);
    outcome get(byte_buffer& message, clock::time_point deadline, const std::atomic<bool>& is_closed);
    outcome join(clock::time_point deadline, const std::atomic<bool>& is_closed);
    /// False when all messages are done already.
    bool done_with_one();

    std::size_t size();
    std::size_t maxsize() const noexcept;
    int descriptor() const noexcept { return memory_.get(); }
    void wake_all() noexcept;

    /// For tests: called in the middle of `put` and `get`, with the lock held, `before` what makes it visible or after.
    enum class step { put_before, put_after, get_before, get_after };
    static inline std::function<void(step)> at_step;

private:
    struct header;
    struct span_of_file;
    struct waiting_place;
    class guard;

    void map();
    void recover() noexcept;
    bool wait(guard& lock, waiting_place& place, clock::time_point deadline);
    void wake(waiting_place& place) noexcept;
    void use_again() noexcept;

    unique_fd memory_;
    header* head_ = nullptr;
};

}  // namespace tercet::multiprocessing
