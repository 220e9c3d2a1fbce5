#pragma once

#include <tercet/multiprocessing/byte_buffer.hpp>
#include <tercet/multiprocessing/unique_fd.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "socket.hpp"

namespace tercet::multiprocessing {

enum class frame_kind : std::uint32_t {
    // To a worker.
    initialize = 1,  ///< first of all: a request to run before the first task, or nothing
    run,             ///< a request that is too large for the ring
    // From a worker.
    ready,         ///< it waits for its first task
    start_failed,  ///< an exception, from the initializer
    result,        ///< what the function returned, too large for the ring
    error,         ///< an exception, too large for the ring
};

/// With `initialize` come four descriptors before those of the request: the worker's segment, and eventfds, the pool's,
/// one that says that a call is to stop, and that of event loops that take the answers.
inline constexpr std::size_t initialize_descriptors = 4;

/// What stands in front of each message between a pool and a worker.
struct frame_head {
    static constexpr std::uint32_t expected_magic = 0x54435254;

    std::uint32_t magic = expected_magic;
    frame_kind kind{};
    std::uint64_t size = 0;    ///< of what follows
    std::uint64_t detail = 0;  ///< for `initialize`: how large a message of the worker may be; for answers: its pid
};

/// Fills in the head of a frame that was built with room for it.
void complete_frame(byte_buffer& frame, frame_kind kind, std::uint64_t detail = 0);

/// Receives one frame at a time, and nothing of what follows it. The memory for a frame grows with what has come of it,
/// not with what its head announces.
class frame_reader {
public:
    explicit frame_reader(std::uint64_t limit) noexcept : limit_(limit) {}

    enum class status {
        complete,   ///< `head` and `payload` are valid until `next`
        blocked,    ///< more is to come
        closed,     ///< the other side is gone, whether or not it had begun a frame
        malformed,  ///< `problem` says why
    };

    /// Receives what the socket has, as far as the end of the frame. Throws `std::bad_alloc`.
    status read(int socket);

    const frame_head& head() const noexcept { return head_; }
    std::span<const std::byte> payload() const noexcept {
        return buffer_.bytes().subspan(sizeof(frame_head), static_cast<std::size_t>(head_.size));
    }
    /// What came with the frame. Fewer than were sent when this process could not take them all.
    std::span<unique_fd> descriptors() noexcept { return descriptors_; }
    const char* problem() const noexcept { return problem_; }
    bool has_begun() const noexcept { return received_ != 0; }

    /// Makes ready for the next frame; a large buffer is given back.
    void next() noexcept;

private:
    status check_head() noexcept;

    std::uint64_t limit_;
    byte_buffer buffer_;
    std::vector<unique_fd> descriptors_;
    std::size_t received_ = 0;
    frame_head head_;
    bool has_head_ = false;
    const char* problem_ = "";
};

/// Sends `bytes` from `sent` on, and moves `sent` along. `descriptors`, at most `max_descriptors`, go with the first.
io_status send_bytes(int socket, std::span<const std::byte> bytes, std::size_t& sent,
                     std::span<const unique_fd> descriptors = {}) noexcept;

}  // namespace tercet::multiprocessing
