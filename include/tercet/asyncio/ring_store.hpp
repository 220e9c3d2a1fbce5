#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <utility>

namespace tercet::asyncio {

/// Holds the items of a `queue`: a ring that doubles when it is full, up to what the queue holds at most. Moves of `T`
/// do not throw.
template <class T>
class ring_store {
public:
    static constexpr const char* name = "queue";

    ring_store() noexcept = default;
    ring_store(ring_store&& other) noexcept
        : slots_(std::exchange(other.slots_, nullptr)),
          capacity_(std::exchange(other.capacity_, 0)),
          first_(std::exchange(other.first_, 0)),
          size_(std::exchange(other.size_, 0)) {}
    ring_store& operator=(ring_store&&) = delete;
    ~ring_store() {
        for (; size_ > 0; --size_) std::destroy_at(&slot(size_ - 1));
        if (slots_) std::allocator<T>().deallocate(slots_, capacity_);
    }

    std::size_t size() const noexcept { return size_; }

    template <class U>
    void push(U&& item) {
        if (size_ == capacity_) [[unlikely]]
            grow();
        std::construct_at(&slot(size_), std::forward<U>(item));
        ++size_;
    }
    /// There is one.
    void pop(std::optional<T>& into) noexcept {
        T& oldest = slot(0);
        into.emplace(std::move(oldest));
        std::destroy_at(&oldest);
        first_ = (first_ + 1) & (capacity_ - 1);
        --size_;
    }

private:
    T& slot(std::size_t index) noexcept { return slots_[(first_ + index) & (capacity_ - 1)]; }

    void grow() {
        const std::size_t capacity = capacity_ == 0 ? 1 : 2 * capacity_;  // a power of two
        T* const slots = std::allocator<T>().allocate(capacity);
        for (std::size_t i = 0; i < size_; ++i) {
            std::construct_at(&slots[i], std::move(slot(i)));
            std::destroy_at(&slot(i));
        }
        if (slots_) std::allocator<T>().deallocate(slots_, capacity_);
        slots_ = slots;
        capacity_ = capacity;
        first_ = 0;
    }

    T* slots_ = nullptr;
    std::size_t capacity_ = 0;
    std::size_t first_ = 0;
    std::size_t size_ = 0;
};

}  // namespace tercet::asyncio
