#pragma once

#include <tercet/multiprocessing/archive.hpp>
#include <tercet/multiprocessing/shared_segment.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

namespace tercet::multiprocessing {

/// Memory with a name, by which other processes of the same user find it: Python's `SharedMemory`. The name belongs to
/// the handle that created it, and goes with that, with `unlink`, and with its process, however that ends: nothing is
/// left behind, and there is nothing in /dev/shm. Mappings of others stay until they close them. Needs no tracker.
/// Move-only; different threads use different handles.
///
///     auto board = shared_memory::create("board", 4096);      // here
///     auto same = shared_memory::attach("board");             // in another program
class shared_memory {
public:
    static constexpr std::size_t longest_name = 60;

    /// No memory; to be filled in from another process.
    shared_memory() noexcept = default;

    /// New memory of `size` bytes, all zero, under `name` or one that is made up. Throws `std::system_error` with
    /// `file_exists` when the name is taken, or what the system says, `std::invalid_argument` for a name that is empty,
    /// too long, or has a zero in it.
    static shared_memory create(const std::string& name, std::size_t size);
    static shared_memory create(std::size_t size);

    /// The memory of that name. Throws `std::system_error` with `no_such_file_or_directory` when there is none, with
    /// `timed_out` when its creator does not answer within 10 seconds, because it was stopped.
    static shared_memory attach(const std::string& name);

    shared_memory(shared_memory&& other) noexcept;
    shared_memory& operator=(shared_memory&& other) noexcept;
    /// Closes, and unlinks if this handle created it.
    ~shared_memory();

    const std::string& name() const noexcept { return name_; }
    /// 0 after `close`.
    std::size_t size() const noexcept { return segment_ ? segment_->size() : 0; }
    /// Empty after `close`.
    std::span<std::byte> buf() const noexcept;

    /// Unmaps it here. The name stays.
    void close() noexcept { segment_.reset(); }
    /// Takes the name away, whoever created it; a new one may be created under it. Mappings stay. Throws
    /// `std::system_error` with `no_such_file_or_directory` when it is gone already.
    void unlink();

    /// Arrives as an attached handle, also when the name is gone.
    template <class Archive>
    void serialize(Archive& archive) {
        archive(name_);
        bool is_open = segment_ != nullptr;
        archive(is_open);
        if constexpr (Archive::is_saving) {
            if (is_open) archive.write_descriptor(segment_->fd());
        } else {
            *this = shared_memory(std::move(name_), is_open ? open(archive.read_descriptor()) : nullptr, 0);
        }
    }

private:
    shared_memory(std::string name, std::shared_ptr<shared_segment> segment, std::uint64_t number) noexcept
        : name_(std::move(name)), segment_(std::move(segment)), number_(number) {}
    static std::shared_ptr<shared_segment> open(unique_fd fd) {
        return shared_segment::open(std::move(fd), shared_segment::any_size, segment_access::read_write);
    }

    std::string name_;
    std::shared_ptr<shared_segment> segment_;
    std::uint64_t number_ = 0;  // of the name that this handle created, in the name server; 0: none
};

}  // namespace tercet::multiprocessing
