#include <tercet/threading/event.hpp>
#include <tercet/threading/timer.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <utility>

namespace {

using namespace std::chrono_literals;
using tercet::threading::event;
using tercet::threading::timer;

TEST(timer, calls_its_function_once_when_the_interval_has_passed) {
    std::atomic<int> calls{0};
    std::chrono::steady_clock::time_point called;
    timer alarm(
        20ms,
        [&](std::unique_ptr<int> by) {
            called = std::chrono::steady_clock::now();
            calls += *by;
        },
        std::make_unique<int>(1));
    const auto begin = std::chrono::steady_clock::now();
    alarm.start();
    EXPECT_TRUE(alarm.join());
    EXPECT_EQ(calls, 1);
    EXPECT_GE(called - begin, 20ms);
    EXPECT_FALSE(alarm.is_alive());
}

TEST(timer, a_cancelled_one_ends_at_once_and_calls_nothing) {
    timer alarm(1h, [] { ADD_FAILURE(); });
    alarm.start();
    EXPECT_TRUE(alarm.is_alive());
    alarm.cancel();
    EXPECT_TRUE(alarm.join(60s));
    timer cancelled_before(0s, [] { ADD_FAILURE(); });
    cancelled_before.cancel();
    cancelled_before.start();
    EXPECT_TRUE(cancelled_before.join());
}

TEST(timer, destruction_cancels_it_and_waits_for_a_call_that_has_begun) {
    {
        const timer never_started(1h, [] { ADD_FAILURE(); });
    }
    {
        timer alarm(1h, [] { ADD_FAILURE(); });
        alarm.start();
    }
    std::atomic<bool> is_over{false};
    {
        event begun;
        timer alarm(0s, [&] {
            begun.set();
            is_over = true;
        });
        alarm.start();
        begun.wait();
    }
    EXPECT_TRUE(is_over);
}

TEST(timer, join_throws_what_its_function_threw) {
    timer alarm(0s, [] { throw std::runtime_error("late"); });
    alarm.start();
    EXPECT_THROW(alarm.join(), std::runtime_error);
}

TEST(timer, a_negative_interval_is_refused) {
    EXPECT_THROW(timer(-1s, [] {}), std::invalid_argument);
}

}  // namespace
