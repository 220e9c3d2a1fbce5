#include <tercet/asyncio/stream_errors.hpp>

#include <fmt/format.h>

namespace tercet::asyncio {

namespace {

std::string text_of_incomplete(std::size_t partial, std::size_t expected) {
    return expected == 0 ? fmt::format("read: the stream ended after {} bytes, before the separator", partial)
                         : fmt::format("read: the stream ended after {} of {} bytes", partial, expected);
}

}  // namespace

incomplete_read_error::incomplete_read_error(std::string partial, std::size_t expected)
    : std::runtime_error(text_of_incomplete(partial.size(), expected)),
      partial_(std::move(partial)),
      expected_(expected) {}

limit_overrun_error::limit_overrun_error(std::size_t limit, std::size_t consumed)
    : std::runtime_error(fmt::format("read: no separator within the limit of {} bytes", limit)), consumed_(consumed) {}

}  // namespace tercet::asyncio
