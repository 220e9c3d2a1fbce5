#pragma once

#include <tercet/multiprocessing/unique_fd.hpp>

#include <cstddef>
#include <memory>
#include <optional>
#include <span>

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

    int file() const noexcept { return file_.get(); }
    std::size_t size() const noexcept { return size_; }
    std::size_t capacity() const noexcept { return capacity_; }

private:
    bool grow(std::size_t at_least) noexcept;

    unique_fd file_;
    std::byte* memory_ = nullptr;
    std::size_t size_ = 0;
    std::size_t capacity_ = 0;
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

/// A block that came with a message, for reading.
class received_block {
public:
    received_block() noexcept = default;
    received_block(received_block&& other) noexcept;
    received_block& operator=(received_block&& other) noexcept;
    ~received_block();

    /// Maps the file. Throws `decode_error` when it is none that is safe to read: another process could make it
    /// shorter.
    explicit received_block(const unique_fd& file);

    /// A part of it. Throws `decode_error` when that is not inside.
    std::span<const std::byte> part(std::size_t offset, std::size_t count) const;

    bool is_there() const noexcept { return !bytes_.empty(); }

private:
    std::span<const std::byte> bytes_;
};

/// Tells the kernel that fresh memory, if it is some, will be filled at once: huge pages save most of the faults.
void expect_to_fill(void* memory, std::size_t size) noexcept;

}  // namespace tercet::multiprocessing
