#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

namespace tercet::asyncio {

/// Bytes that have arrived and were not taken yet: contiguous, filled at the end, emptied from the front.
class receive_buffer {
public:
    std::size_t size() const noexcept { return end_ - begin_; }
    bool empty() const noexcept { return begin_ == end_; }
    /// How much memory it holds.
    std::size_t capacity() const noexcept { return capacity_; }
    std::string_view view() const noexcept { return {first_ + begin_, size()}; }

    /// Room behind the bytes, a few KiB at least; more after rooms that were filled, less after some that were not.
    /// Throws `std::bad_alloc`, which changes nothing.
    std::span<char> prepare();
    /// `count` bytes were put into that room.
    void commit(std::size_t count) noexcept;
    /// Drops `count` bytes from the front.
    void consume(std::size_t count) noexcept;
    /// For a time of waiting: an empty buffer gives back its memory, unless that is little.
    void trim() noexcept;

private:
    std::unique_ptr<char[]> storage_;
    char* first_ = nullptr;  // in it, at the begin of a cache line
    std::size_t capacity_ = 0;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    std::size_t wanted_ = 0;
};

}  // namespace tercet::asyncio
