#pragma once

#include <chrono>
#include <cmath>
#include <cstddef>
#include <future>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "../driver.hpp"

// What the rows do, for the contenders in C++; pools.py has it for those in Python. Except for start and add_worker,
// both workers have answered a call before anything is measured.

namespace tercet::benchmarks {

inline constexpr long calls = 100'000;
inline constexpr long round_trips = 20'000;

inline void check(bool is_right, const char* what) {
    if (!is_right) throw std::logic_error(std::string("wrong result: ") + what);
}

inline double milliseconds_since(clock::time_point from) { return nanoseconds(from, clock::now()) / 1e6; }

/// What makes a process expensive to fork: 2 GiB that were written to, and 8 threads.
class large_parent {
public:
    large_parent() {
        for (int i = 1; i < 8; ++i) threads_.emplace_back([until = until_] { until.wait(); });
    }
    ~large_parent() { is_over_.set_value(); }

private:
    std::vector<char> memory_ = std::vector<char>(std::size_t{2} << 30U, 1);
    std::promise<void> is_over_;
    std::shared_future<void> until_ = is_over_.get_future().share();
    std::vector<std::jthread> threads_;
};

/// us per `round_trip()`, one after another. A tenth as many more go before.
template <class RoundTrip>
double time_round_trips(RoundTrip round_trip) {
    for (long i = 0; i < round_trips / 10; ++i) round_trip();
    const auto from = clock::now();
    for (long i = 0; i < round_trips; ++i) round_trip();
    return nanoseconds(from, clock::now()) / 1e3 / static_cast<double>(round_trips);
}

/// us: the median of 300, each after 1 ms in which nothing was to be done. Ten more go before.
template <class RoundTrip>
double time_idle_round_trips(RoundTrip round_trip) {
    for (int i = 0; i < 10; ++i) round_trip();
    std::vector<double> took;
    for (int i = 0; i < 300; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        const auto from = clock::now();
        round_trip();
        took.push_back(nanoseconds(from, clock::now()) / 1e3);
    }
    return median_of(std::move(took));
}

/// ms per `there_and_back(array)`, which has somebody add one to the first and to the last of 100 MB of doubles; the
/// median of 3, after one.
template <class ThereAndBack>
double time_array_copy(ThereAndBack there_and_back) {
    std::vector<double> array(12'500'000);
    for (std::size_t i = 0; i < array.size(); ++i) array[i] = static_cast<double>(i % 1000);
    auto expected = array;
    ++expected.front();
    ++expected.back();
    std::vector<double> took;
    for (int pass = 0; pass < 4; ++pass) {
        const auto from = clock::now();
        const std::vector<double>& back = there_and_back(array);
        if (pass != 0) took.push_back(milliseconds_since(from));
        check(back == expected, "an array");
    }
    return median_of(std::move(took));
}

[[gnu::noinline]] inline double sum_of_roots(long n) {
    double sum = 0;
    for (long i = 0; i < n; ++i) sum += std::sqrt(static_cast<double>(i));
    return sum;
}

/// ms per `four_sums(n)`, which returns what four calls of `sum_of_roots(n)` return, added up; the median of 3, after
/// one.
template <class FourSums>
double time_sqrt4(FourSums four_sums) {
    constexpr long n = 10'000'000;
    const double expected = 4 * sum_of_roots(n);
    std::vector<double> took;
    for (int pass = 0; pass < 4; ++pass) {
        const auto from = clock::now();
        const double sum = four_sums(n);
        if (pass != 0) took.push_back(milliseconds_since(from));
        check(sum == expected, "a sum of square roots");
    }
    return median_of(std::move(took));
}

}  // namespace tercet::benchmarks
