#include <tercet/multiprocessing/archive.hpp>

#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace tercet::multiprocessing {

void throw_truncated(std::size_t wanted, std::size_t left) {
    throw decode_error(fmt::format("decode: {} bytes wanted, {} left in the message", wanted, left));
}

void throw_bad_count(std::uint64_t count, std::size_t left) {
    throw decode_error(fmt::format("decode: a count of {} elements, with {} bytes left in the message", count, left));
}

void throw_bad_value(const char* what, std::uint64_t value) {
    throw decode_error(fmt::format("codec: {} cannot be {:#x}", what, value));
}

void throw_too_deep() {
    throw decode_error(fmt::format("codec: values contain one another more than {} levels deep", max_nesting));
}

void throw_no_descriptor() {
    throw decode_error(
        "decode: a file descriptor has not come with the message: this process, or the sender, has as many open as it "
        "may (RLIMIT_NOFILE)");
}

void encoder::write_descriptor(int fd) {
    if (descriptors_.size() == max_descriptors)
        throw std::length_error(fmt::format("encode: more than {} file descriptors in a message", max_descriptors));
    unique_fd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
    if (!copy) throw std::system_error(errno, std::system_category(), fmt::format("encode: file descriptor {}", fd));
    descriptors_.push_back(std::move(copy));
}

/// False: the elements have to stand in the message.
bool encoder::write_to_block(std::size_t count, const void* bytes, std::size_t size) {
    message_block* const block = block_ ? block_ : blocks_->block();
    if (!block) return false;
    const auto at = block->append(bytes, size);
    if (!at) return false;
    if (!block_) {  // the first elements bring the descriptor
        unique_fd copy;
        if (descriptors_.size() < max_descriptors) copy = unique_fd(::fcntl(block->file(), F_DUPFD_CLOEXEC, 3));
        if (!copy) {
            block->clear();
            return false;
        }
        descriptors_.push_back(std::move(copy));
        block_ = block;
    }
    write_raw(static_cast<std::uint64_t>(count) | is_in_block);
    write_raw(static_cast<std::uint64_t>(*at));
    return true;
}

decoder::elements decoder::read_from_block(std::uint64_t count, std::size_t size_of_one) {
    const auto at = read_raw<std::uint64_t>();
    if (count > (most_in_block_ - bytes_in_blocks_) / size_of_one)
        throw decode_error(fmt::format("decode: {} elements of {} bytes beside the message, where {} bytes may be",
                                       count, size_of_one, most_in_block_ - bytes_in_blocks_));
    if (!block_.is_there()) block_ = received_block(read_descriptor());
    const auto size = static_cast<std::size_t>(count) * size_of_one;
    const std::byte* const first = block_.part(static_cast<std::size_t>(at), size);
    bytes_in_blocks_ += size;
    return {static_cast<std::size_t>(count), first};
}

void decoder::expect_end() const {
    if (left() != 0) throw decode_error(fmt::format("decode: {} bytes are left over in the message", left()));
}

}  // namespace tercet::multiprocessing
