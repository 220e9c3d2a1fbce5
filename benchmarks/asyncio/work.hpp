#pragma once

#include <chrono>
#include <cstddef>
#include <stdexcept>
#include <string>

#include "../driver.hpp"

// What each row does; the contenders bring the loop and its coroutines. One loop on one thread. Everything is done once
// before it is measured: free lists are full, pages are there.

namespace tercet::benchmarks {

inline constexpr long tasks_one_by_one = 1'000'000;
inline constexpr long batches = 1'000;  // of 1,000 tasks
inline constexpr long calls = 10'000'000;
inline constexpr long yields = 1'000'000;  // of each of two tasks
inline constexpr long messages = 1'000'000;

inline void check(bool is_right, const char* what) {
    if (!is_right) throw std::logic_error(std::string("wrong result: ") + what);
}

/// How long the sleeper of this number sleeps: 1 to 10 s, in no order.
inline std::chrono::microseconds time_to_sleep(long number) {
    return std::chrono::microseconds(1'000'000 + number * 7'919 % 9'000'000);
}

/// What this process has of the machine's memory.
std::size_t resident_bytes();

/// The CPU time of this process so far.
std::chrono::nanoseconds cpu_time();

/// Takes the figures of a sleepers row: `begin` before the first is made, `all_sleep` when the last one sleeps, `end`
/// when none does.
class sleepers_figure {
public:
    explicit sleepers_figure(long count) : count_(count) {}
    void begin();
    void all_sleep();
    void end(long woken);

    double bytes_each() const { return bytes_ / static_cast<double>(count_); }
    double cpu_ms() const { return cpu_ms_; }

private:
    long count_;
    std::size_t resident_ = 0;
    std::chrono::nanoseconds cpu_{};
    double bytes_ = 0;
    double cpu_ms_ = 0;
};

}  // namespace tercet::benchmarks
