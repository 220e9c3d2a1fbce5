// The cost of an item is the average of what the chunks took, the last ones counting most, and at least what it costs
// to hand an item over: items that are large to encode are no cheaper together. A chunk is at most eight times as large
// as one that was done before, so that some quick items in front of slow ones do no harm.

#include <tercet/futures/chunk_size.hpp>
#include <tercet/futures/map_results.hpp>

#include <algorithm>

namespace tercet {

namespace {

constexpr double wanted_ns = 75'000;
constexpr std::size_t fastest_growth = 8;
constexpr std::size_t chunks_for_each_worker = 4;
constexpr std::size_t least_buffer = 64;
constexpr std::size_t most_buffer = 65'536;

}  // namespace

chunk_size::chunk_size(const map_options& options, std::size_t max_workers) noexcept
    : max_workers_(std::max<std::size_t>(1, max_workers)),
      size_(std::max<std::size_t>(1, options.chunk_size)),
      is_fixed_(options.chunk_size != 0),
      is_buffer_fixed_(options.buffer_size != 0),
      buffer_size_(is_buffer_fixed_ ? options.buffer_size
                                    : std::max(least_buffer, chunks_for_each_worker * max_workers_ * size_)) {
    size_ = std::min(size_, buffer_size_);
}

std::size_t chunk_size::next(std::size_t remaining) const noexcept {
    if (is_fixed_) return size_;
    return std::clamp<std::size_t>(remaining / (chunks_for_each_worker * max_workers_), 1, size_);
}

void chunk_size::handed_over(std::size_t count, std::chrono::nanoseconds took) noexcept {
    const double cost = static_cast<double>(took.count()) / static_cast<double>(count);
    hand_over_cost_ns_ = hand_over_cost_ns_ == 0 ? cost : std::min(hand_over_cost_ns_, cost);
}

void chunk_size::done(std::size_t count, std::chrono::nanoseconds took) noexcept {
    if (is_fixed_) return;
    const double cost = std::max(1.0, static_cast<double>(took.count()) / static_cast<double>(count));
    cost_ns_ = cost_ns_ == 0 ? cost : (cost_ns_ + cost) / 2;
    const double affordable = wanted_ns / std::max(cost_ns_, hand_over_cost_ns_);
    // A part of the buffer only: else the workers would wait for the one who takes the results.
    const std::size_t most = std::max<std::size_t>(
        1, (is_buffer_fixed_ ? buffer_size_ : most_buffer) / (chunks_for_each_worker * max_workers_));
    size_ = static_cast<std::size_t>(
        std::clamp(affordable, 1.0, static_cast<double>(std::min(most, fastest_growth * count))));
    if (!is_buffer_fixed_)
        buffer_size_ = std::clamp(chunks_for_each_worker * max_workers_ * size_,
                                  std::max(least_buffer, chunks_for_each_worker * max_workers_), most_buffer);
}

}  // namespace tercet
