#include <tercet/futures/errors.hpp>
#include <tercet/multiprocessing/pool.hpp>

#include <fmt/format.h>

#include <stdexcept>

namespace tercet::multiprocessing {

pool::~pool() {
    try {
        terminate();
    } catch (...) {  // NOLINT(bugprone-empty-catch): in the child of a fork it is not ours to end
    }
}

void pool::require_open(const char* call) const {
    if (is_terminated_) throw invalid_state_error(fmt::format("pool: {}: it was terminated", call));
    if (is_closed_) throw invalid_state_error(fmt::format("pool: {}: it was closed, and takes no more calls", call));
}

std::size_t pool::checked_chunk_size(const char* call, std::size_t chunk_size) const {
    require_open(call);
    if (chunk_size == 0) throw std::invalid_argument(fmt::format("pool: {}: chunks of no items", call));
    return chunk_size;
}

std::size_t pool::chunk_size_for(std::size_t items) const noexcept {
    const std::size_t chunks = 4 * executor_.max_workers();
    return std::max<std::size_t>(1, (items + chunks - 1) / chunks);
}

void pool::close() noexcept { is_closed_ = true; }

void pool::terminate() {
    is_closed_ = true;
    is_terminated_ = true;
    executor_.kill_workers();
}

void pool::join(time_limit limit) {
    if (!is_closed_) throw invalid_state_error("pool: join: close or terminate it first");
    executor_.shutdown({.timeout = limit});
}

}  // namespace tercet::multiprocessing
