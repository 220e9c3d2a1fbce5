#pragma once

#include <tercet/multiprocessing/unique_fd.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>

namespace tercet::multiprocessing {

/// How a process maps what it shares.
enum class segment_access : std::uint8_t { read_write, read_only };

/// Memory that processes share: a memfd, so it has no name, cannot be left behind, and goes with the last process that
/// has it. Its size is sealed. Mapped here as long as anybody refers to it. What the handles of this module refer to.
class shared_segment : public std::enable_shared_from_this<shared_segment> {
public:
    /// `size` bytes, all of them zero, which cost nothing until they are touched. `purpose` is what /proc shows.
    /// Throws `std::system_error`.
    static std::shared_ptr<shared_segment> create(const char* purpose, std::size_t size);

    /// The one behind `fd`, which another process has sent; the mapping that this process has, if it has one. Throws
    /// `decode_error` unless it is a memfd of `size` bytes (of any size, for `any_size`) that cannot shrink,
    /// `std::system_error` when it cannot be mapped.
    static std::shared_ptr<shared_segment> open(unique_fd fd, std::size_t size, segment_access access);
    static constexpr std::size_t any_size = static_cast<std::size_t>(-1);

    /// For a process that is sent the same segments again and again: from now on large ones that are opened more than
    /// once stay mapped, two at most. `bell`, an eventfd, is written to when there is one; whoever reads it calls
    /// `look_after_kept` every second.
    static void begin_keeping(int bell) noexcept;
    /// Lets those go that nobody has used since the last look. False: there are no more, and the bell says when there
    /// are. Any thread.
    static bool look_after_kept() noexcept;
    static bool has_kept() noexcept;

    shared_segment(const shared_segment&) = delete;
    shared_segment& operator=(const shared_segment&) = delete;
    ~shared_segment();

    std::byte* data() const noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }
    int fd() const noexcept { return fd_.get(); }

    /// A descriptor with which nobody can write. Throws `std::system_error`.
    unique_fd read_only_descriptor() const;

    /// Keeps the mapping although no handle refers to it, until `unpin`: while a thread of this process holds a lock
    /// that lies in it. For the holder of that lock.
    void pin() { pinned_ = shared_from_this(); }
    [[nodiscard]] std::shared_ptr<shared_segment> unpin() noexcept { return std::move(pinned_); }

private:
    /// Maps it.
    shared_segment(unique_fd fd, std::size_t size, segment_access access);
    void enlist();

    unique_fd fd_;
    std::size_t size_;
    segment_access access_;
    std::byte* data_ = nullptr;
    std::shared_ptr<shared_segment> pinned_;
};

}  // namespace tercet::multiprocessing
