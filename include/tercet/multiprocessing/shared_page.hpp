#pragma once

#include <tercet/multiprocessing/archive.hpp>
#include <tercet/multiprocessing/shared_segment.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace tercet::multiprocessing {

/// What a page holds, so that one is not taken for another.
enum class page_kind : std::uint64_t { lock = 0x7465726365740001, rlock, semaphore, event, condition, barrier };

/// The shared memory of one primitive, as a member of its handle: a copy is the same memory, here and in another
/// process. Who sends a primitive trusts the receiver not to scribble on it.
class shared_page {
public:
    /// No page; to be filled in from another process.
    shared_page() noexcept = default;
    /// Moving copies: a handle always has its page.
    shared_page(const shared_page&) = default;
    shared_page& operator=(const shared_page&) = default;
    /// A new page of at least `size` bytes, zero but for its kind. Throws `std::system_error`.
    shared_page(page_kind kind, const char* purpose, std::size_t size);

    template <class Archive>
    void serialize(Archive& archive, page_kind kind, std::size_t least_size) {
        if constexpr (Archive::is_saving)
            archive.write_descriptor(segment_->fd());
        else
            open(archive.read_descriptor(), kind, least_size);
    }

    template <class Contents>
    Contents& as() const noexcept {
        return *reinterpret_cast<Contents*>(segment_->data());
    }
    shared_segment& segment() const noexcept { return *segment_; }
    page_kind kind() const noexcept { return as<page_kind>(); }

private:
    void open(unique_fd fd, page_kind kind, std::size_t least_size);

    std::shared_ptr<shared_segment> segment_;
};

}  // namespace tercet::multiprocessing
