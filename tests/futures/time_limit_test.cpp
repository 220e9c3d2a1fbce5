#include <tercet/futures/time_limit.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <stdexcept>

namespace {

using namespace std::chrono_literals;
using tercet::time_limit;

TEST(time_limit, takes_durations_of_any_unit) {
    EXPECT_EQ(time_limit(2s).duration(), 2'000'000'000ns);
    EXPECT_EQ(time_limit(1.5ms).duration(), 1'500'000ns);
    EXPECT_EQ(time_limit(0.1s).duration(), 100'000'000ns);
    EXPECT_EQ(time_limit(1ns).duration(), 1ns);
    EXPECT_EQ(time_limit(std::chrono::hours(24 * 365)).duration(), std::chrono::hours(24 * 365));
}

TEST(time_limit, refuses_negative_durations_and_not_a_number) {
    EXPECT_THROW(time_limit(-1ns), std::invalid_argument);
    EXPECT_THROW(time_limit(std::chrono::duration<double>(std::nan(""))), std::invalid_argument);
}

TEST(time_limit, a_duration_beyond_the_clock_is_no_limit) {
    EXPECT_TRUE(time_limit(std::chrono::duration<double>(std::numeric_limits<double>::infinity())).is_forever());
    EXPECT_TRUE(time_limit(std::chrono::hours::max()).is_forever());
    EXPECT_EQ(time_limit::forever().deadline(), time_limit::clock::time_point::max());
    EXPECT_EQ(time_limit(std::chrono::nanoseconds::max() - 1s).deadline(), time_limit::clock::time_point::max());
}

TEST(time_limit, the_deadline_counts_from_the_given_moment) {
    const time_limit::clock::time_point start{100s};
    EXPECT_EQ(time_limit(2s).deadline(start), time_limit::clock::time_point{102s});
    EXPECT_EQ(time_limit(0s).deadline(start), start);
}

}  // namespace
