#pragma once

#include <chrono>
#include <cstddef>

namespace tercet {

struct map_options;

/// How many items of a map go into one call, and how many may be under way: as the options say, or so that a call takes
/// 50 to 100 us, by what the calls before took. Never so many that workers have nothing to do near the end of the
/// input.
class chunk_size {
public:
    chunk_size(const map_options& options, std::size_t max_workers) noexcept;

    /// The size of the next chunk, when there are at most `remaining` items.
    std::size_t next(std::size_t remaining) const noexcept;
    /// How many items may be under way or waiting to be taken.
    std::size_t buffer_size() const noexcept { return buffer_size_; }

    /// A chunk of `count` items was handed over in that time: encoding and queueing cost something, too.
    void handed_over(std::size_t count, std::chrono::nanoseconds took) noexcept;
    /// Its calls took that time.
    void done(std::size_t count, std::chrono::nanoseconds took) noexcept;

private:
    std::size_t max_workers_;
    std::size_t size_;
    bool is_fixed_;
    bool is_buffer_fixed_;
    std::size_t buffer_size_;
    double cost_ns_ = 0;            // of an item, lately; 0: not known
    double hand_over_cost_ns_ = 0;  // of an item, at best; 0: not known
};

}  // namespace tercet
