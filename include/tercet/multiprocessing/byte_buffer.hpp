#pragma once

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>
#include <span>
#include <utility>

namespace tercet::multiprocessing {

/// Bytes that grow at the end. Unlike a vector it does not clear what it grows by, and moves big blocks by remapping
/// them.
class byte_buffer {
public:
    byte_buffer() noexcept = default;
    byte_buffer(byte_buffer&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)),
          size_(std::exchange(other.size_, 0)),
          capacity_(std::exchange(other.capacity_, 0)) {}
    byte_buffer& operator=(byte_buffer&& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        std::swap(capacity_, other.capacity_);
        return *this;
    }
    ~byte_buffer() { std::free(data_); }

    std::byte* data() noexcept { return data_; }
    const std::byte* data() const noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }
    std::size_t capacity() const noexcept { return capacity_; }
    std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }

    /// Makes the size `size`; new bytes have no defined value. Throws `std::bad_alloc`.
    void resize(std::size_t size) {
        if (size > capacity_) grow(size);
        size_ = size;
    }

    void append(const void* bytes, std::size_t count) {
        if (count == 0) return;
        if (count > capacity_ - size_) grow(checked_sum(size_, count));
        std::memcpy(data_ + size_, bytes, count);
        size_ += count;
    }

private:
    static std::size_t checked_sum(std::size_t size, std::size_t count) {
        if (count > static_cast<std::size_t>(-1) / 2 - size) throw std::bad_alloc();
        return size + count;
    }

    void grow(std::size_t at_least) {
        std::size_t capacity = capacity_ < 64 ? 64 : capacity_ + capacity_ / 2;
        if (capacity < at_least) capacity = at_least;
        void* const moved = std::realloc(data_, capacity);
        if (!moved) throw std::bad_alloc();
        data_ = static_cast<std::byte*>(moved);
        capacity_ = capacity;
    }

    std::byte* data_ = nullptr;
    std::size_t size_ = 0;
    std::size_t capacity_ = 0;
};

}  // namespace tercet::multiprocessing
