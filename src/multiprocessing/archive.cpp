#include <tercet/multiprocessing/archive.hpp>

#include <fmt/format.h>

#include <stdexcept>

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

void decoder::expect_end() const {
    if (left() != 0) throw decode_error(fmt::format("decode: {} bytes are left over in the message", left()));
}

}  // namespace tercet::multiprocessing
