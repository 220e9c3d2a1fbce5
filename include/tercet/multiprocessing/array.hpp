#pragma once

#include <tercet/multiprocessing/rlock.hpp>
#include <tercet/multiprocessing/shared_array.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <new>
#include <span>
#include <stdexcept>

namespace tercet::multiprocessing {

/// An array of fixed size that processes share, with a lock: Python's `multiprocessing.Array`. A handle: copies are the
/// same array, also one that was sent to a worker. For big ones whose parts are worked on apart, `shared_array`. Any
/// thread.
template <class T>
    requires shareable_value<T>
class array {
public:
    /// No elements.
    array() : array(0) {}
    /// `count` elements, all bytes zero. Throws `std::bad_array_new_length`, `std::system_error`.
    explicit array(std::size_t count) : lock_(bytes_of(count)), size_(count) {}
    /// A copy of `values`.
    explicit array(std::span<const T> values) : array(values.size()) {
        if (size_ != 0) std::memcpy(lock_.start(), values.data(), values.size_bytes());
    }

    std::size_t size() const noexcept { return size_; }
    /// Reads or writes an element under the lock. Throws `std::out_of_range`.
    T get(std::size_t index) const {
        const std::lock_guard guard(lock_);
        return get_obj()[checked(index)];
    }
    void set(std::size_t index, const T& next) const {
        const std::lock_guard guard(lock_);
        get_obj()[checked(index)] = next;
    }

    const rlock& get_lock() const noexcept { return lock_; }
    /// The elements themselves, for who has the lock, or needs none.
    std::span<T> get_obj() const noexcept { return {reinterpret_cast<T*>(lock_.start()), size_}; }

    template <class Archive>
    void serialize(Archive& archive) {
        auto count = static_cast<std::uint64_t>(size_);
        archive(count);
        if constexpr (Archive::is_loading)
            if (count > most_elements) throw_bad_count(count, archive.left());
        lock_.serialize_with(archive, static_cast<std::size_t>(count) * sizeof(T));
        size_ = static_cast<std::size_t>(count);
    }

private:
    struct lock_and_elements : rlock {
        explicit lock_and_elements(std::size_t bytes) : rlock(bytes) {}
        std::byte* start() const noexcept { return beside(); }
        template <class Archive>
        void serialize_with(Archive& archive, std::size_t bytes) {
            serialize_as(archive, page_kind::rlock, bytes);
        }
    };

    static constexpr std::size_t most_elements = static_cast<std::size_t>(-1) / 4 / sizeof(T);

    static std::size_t bytes_of(std::size_t count) {
        if (count > most_elements) throw std::bad_array_new_length();
        return count * sizeof(T);
    }
    std::size_t checked(std::size_t index) const {
        if (index >= size_) throw std::out_of_range("array: the index is not below the size");
        return index;
    }

    lock_and_elements lock_;
    std::size_t size_;
};

}  // namespace tercet::multiprocessing
