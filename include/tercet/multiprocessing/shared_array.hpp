#pragma once

#include <tercet/multiprocessing/archive.hpp>
#include <tercet/multiprocessing/shared_segment.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <type_traits>
#include <utility>

namespace tercet::multiprocessing {

/// Whether the bytes of a `T` are its value, in every process. Nobody checks that no pointer is inside of a class.
template <class T>
concept shareable_value = std::is_trivially_copyable_v<T> && !std::is_pointer_v<T> && !std::is_reference_v<T> &&
                          !std::is_member_pointer_v<T> && alignof(T) <= 128;

/// An array of fixed size that processes share. A handle: to copy it or to send it to a worker costs the same for four
/// bytes and for four gigabytes, and all copies are the same elements. Lives as long as any process has a handle. A
/// `shared_array<const T>` is mapped read-only in the process to which it is sent. The elements have no lock: let each
/// worker have its own part, or send a `lock` along. Any thread; the elements are as safe as memory is.
///
///     shared_array<double> samples(100'000'000);      fill(samples.span());
///     pool.submit([](shared_array<const double> all) { return sum(all.span()); }, shared_array<const
///     double>(samples));
template <class T>
    requires shareable_value<std::remove_const_t<T>>
class shared_array {
public:
    using element_type = T;
    using value_type = std::remove_const_t<T>;
    using iterator = T*;

    /// No elements.
    shared_array() noexcept = default;

    shared_array(const shared_array&) = default;
    shared_array& operator=(const shared_array&) = default;
    shared_array(shared_array&& other) noexcept
        : size_(std::exchange(other.size_, 0)), segment_(std::move(other.segment_)) {}
    shared_array& operator=(shared_array&& other) noexcept {
        segment_ = std::move(other.segment_);
        size_ = std::exchange(other.size_, 0);
        return *this;
    }

    /// `element_count` elements, all bytes zero, whose memory is taken when it is first touched. Throws
    /// `std::bad_array_new_length`, `std::system_error`.
    explicit shared_array(std::size_t element_count) requires(!std::is_const_v<T>)
        : size_(checked(element_count)), segment_(make(element_count)) {}

    /// A copy of `values`. Throws as above.
    explicit shared_array(std::span<const value_type> values) : size_(checked(values.size())), segment_(make(size_)) {
        if (size_ != 0) std::memcpy(segment_->data(), values.data(), values.size_bytes());
    }

    /// The same elements, for those who may not write.
    template <class U>
        requires(std::is_const_v<T>&& std::is_same_v<U, value_type>)
    shared_array(const shared_array<U>& other)
    noexcept  // NOLINT(google-explicit-constructor): as a pointer does
        : size_(other.size_), segment_(other.segment_) {}

    std::span<T> span() const noexcept { return {data(), size_}; }
    T* data() const noexcept { return segment_ ? reinterpret_cast<T*>(segment_->data()) : nullptr; }
    std::size_t size() const noexcept { return size_; }
    bool empty() const noexcept { return size_ == 0; }
    T& operator[](std::size_t index) const noexcept { return data()[index]; }
    T* begin() const noexcept { return data(); }
    T* end() const noexcept { return data() + size_; }

    template <class Archive>
    void serialize(Archive& archive) {
        if constexpr (Archive::is_saving) {
            archive.write_raw(static_cast<std::uint64_t>(size_));
            if (size_ == 0) return;
            if constexpr (std::is_const_v<T>)
                archive.write_descriptor(segment_->read_only_descriptor().get());
            else
                archive.write_descriptor(segment_->fd());
        } else {
            const auto count = archive.template read_raw<std::uint64_t>();
            if (count > most_elements) throw_bad_count(count, archive.left());
            std::shared_ptr<shared_segment> opened;
            if (count != 0)
                opened =
                    shared_segment::open(archive.read_descriptor(), count * sizeof(T),
                                         std::is_const_v<T> ? segment_access::read_only : segment_access::read_write);
            segment_ = std::move(opened);
            size_ = static_cast<std::size_t>(count);
        }
    }

private:
    template <class U>
        requires shareable_value<std::remove_const_t<U>>
    friend class shared_array;

    static constexpr std::size_t most_elements = static_cast<std::size_t>(-1) / 2 / sizeof(T);

    static std::size_t checked(std::size_t count) {
        if (count > most_elements) throw std::bad_array_new_length();
        return count;
    }
    static std::shared_ptr<shared_segment> make(std::size_t count) {
        return count == 0 ? nullptr : shared_segment::create("tercet-array", count * sizeof(T));
    }

    std::size_t size_ = 0;
    std::shared_ptr<shared_segment> segment_;
};

}  // namespace tercet::multiprocessing
