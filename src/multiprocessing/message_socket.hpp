#pragma once

#include <tercet/multiprocessing/byte_buffer.hpp>
#include <tercet/multiprocessing/unique_fd.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace tercet::multiprocessing {

/// What stands in front of each message of a connection.
struct message_head {
    static constexpr std::uint32_t expected_magic = 0x54434d53;

    std::uint32_t magic = expected_magic;
    std::uint32_t descriptors = 0;  ///< how many came with it
    std::uint64_t size = 0;         ///< of what follows
    std::uint64_t type = 0;         ///< the hash of the value's type; 0: bytes
};

enum class message_status {
    done,
    blocked,    ///< more can be moved when the socket is ready
    closed,     ///< the other end is closed
    malformed,  ///< `problem` says why; the stream makes no sense from here on
    failed,     ///< errno says why
};

/// A message on its way out. What it refers to must stay.
class message_writer {
public:
    message_writer(std::uint64_t type, std::span<const std::byte> bytes,
                   std::span<const unique_fd> descriptors) noexcept;
    /// Sends as much as the socket takes now.
    message_status write(int socket) noexcept;
    bool has_begun() const noexcept { return sent_ != 0; }

private:
    message_head head_;
    std::span<const std::byte> bytes_;
    std::span<const unique_fd> descriptors_;
    std::size_t sent_ = 0;
};

/// Receives one message at a time, in as many pieces as it comes. Memory grows with what has come, not with what the
/// head announces.
class message_reader {
public:
    /// Receives what the socket has now of the message. Throws `std::bad_alloc` when there is no memory for one: once
    /// it has come altogether, and was dropped, so that the next one can be read.
    message_status read(int socket, std::size_t max_size = std::numeric_limits<std::size_t>::max());
    bool has_begun() const noexcept { return received_ != 0; }
    const char* problem() const noexcept { return problem_; }

    // Of a message that is complete.
    std::uint64_t type() const noexcept { return head_.type; }
    byte_buffer take_bytes() noexcept;
    std::vector<unique_fd> take_descriptors() noexcept { return std::exchange(descriptors_, {}); }

private:
    message_status read_head(int socket);
    /// What is left of a message for which there is no memory. Throws `std::bad_alloc` when that is nothing.
    message_status skip(int socket);
    message_status malformed(const char* problem) noexcept;

    message_head head_;
    std::size_t received_ = 0;
    byte_buffer bytes_;
    std::vector<unique_fd> descriptors_;
    const char* problem_ = nullptr;
    bool is_skipping_ = false;
};

}  // namespace tercet::multiprocessing
