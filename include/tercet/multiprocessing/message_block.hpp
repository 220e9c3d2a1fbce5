#pragma once

#include <tercet/multiprocessing/unique_fd.hpp>

#include <sys/types.h>

#include <algorithm>
#include <cstddef>
#include <optional>

namespace tercet::multiprocessing {

/// From this size on the elements of a container lie beside the message, if the transport has a place for them.
inline constexpr std::size_t least_block_size = std::size_t{64} << 10U;

/// A place for the large parts of a message: a file in memory, whose descriptor goes with the message. The receiver
/// maps it, so the parts are copied once on each side. Worth keeping: memory that was used before costs a fifth.
class message_block {
public:
    static constexpr std::size_t alignment = 64;

    message_block() noexcept = default;
    message_block(const message_block&) = delete;
    message_block& operator=(const message_block&) = delete;
    ~message_block();

    /// Copies bytes behind those that are there, and returns where they begin; nothing when there is no memory.
    std::optional<std::size_t> append(const void* bytes, std::size_t count) noexcept;
    /// Forgets what is in it; the memory stays.
    void clear() noexcept { size_ = 0; }
    /// Gives the memory back.
    void reset() noexcept;

    /// Whether far more memory is here than what is in it needs, so that it is not worth keeping.
    bool is_too_large() const noexcept { return capacity_ > std::max(4 * size_, std::size_t{1} << 20U); }

    int file() const noexcept { return file_.get(); }
    std::size_t size() const noexcept { return size_; }
    std::size_t capacity() const noexcept { return capacity_; }

private:
    bool grow(std::size_t at_least) noexcept;

    unique_fd file_;
    std::byte* memory_ = nullptr;
    std::size_t size_ = 0;
    std::size_t capacity_ = 0;
    pid_t owner_ = 0;  // a copy of the process, made by fork(), does not have the memory
};

/// Where an encoder gets a block when it needs one, once in a message.
class block_source {
public:
    /// An empty block, or null when there is none. It stays the source's.
    virtual message_block* block() noexcept = 0;

    block_source(const block_source&) = delete;
    block_source& operator=(const block_source&) = delete;

protected:
    block_source() noexcept = default;
    ~block_source() = default;
};

/// A block that came with a message, for reading. Nothing is mapped but the part that is being read.
class received_block {
public:
    received_block() noexcept = default;
    received_block(received_block&& other) noexcept;
    received_block& operator=(received_block&& other) noexcept;
    ~received_block();

    /// Throws `decode_error` when the file is none that is safe to read: another process could make it shorter.
    explicit received_block(unique_fd file);

    /// A part of it, until the next one is asked for. Throws `decode_error` when it is not inside, or not behind those
    /// that were read before.
    const std::byte* part(std::size_t offset, std::size_t count);

    bool is_there() const noexcept { return static_cast<bool>(file_); }

private:
    void unmap() noexcept;

    unique_fd file_;
    std::size_t size_ = 0;
    std::size_t end_ = 0;  // of what was read
    std::byte* mapped_ = nullptr;
    std::size_t mapped_size_ = 0;
};

/// Tells the kernel that fresh memory, if it is some, will be filled at once: huge pages save most of the faults.
void expect_to_fill(void* memory, std::size_t size) noexcept;

}  // namespace tercet::multiprocessing
