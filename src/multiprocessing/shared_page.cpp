#include <tercet/multiprocessing/shared_page.hpp>

#include <fmt/format.h>

namespace tercet::multiprocessing {

shared_page::shared_page(page_kind kind, const char* purpose, std::size_t size)
    : segment_(shared_segment::create(purpose, size)) {
    as<page_kind>() = kind;
}

void shared_page::open(unique_fd fd, page_kind kind, std::size_t least_size) {
    auto opened = shared_segment::open(std::move(fd), shared_segment::any_size, segment_access::read_write);
    if (opened->size() < least_size)
        throw decode_error(
            fmt::format("decode: a primitive in {} bytes of shared memory; it needs {}", opened->size(), least_size));
    const auto found = *reinterpret_cast<const page_kind*>(opened->data());
    if (found != kind)
        throw decode_error(fmt::format("decode: shared memory of kind {:#x} where {:#x} is expected",
                                       static_cast<std::uint64_t>(found), static_cast<std::uint64_t>(kind)));
    segment_ = std::move(opened);
}

}  // namespace tercet::multiprocessing
