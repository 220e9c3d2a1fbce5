#include <tercet/multiprocessing/archive.hpp>

#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>
#include <stdexcept>
#include <system_error>

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

void decoder::expect_end() const {
    if (left() != 0) throw decode_error(fmt::format("decode: {} bytes are left over in the message", left()));
}

}  // namespace tercet::multiprocessing
