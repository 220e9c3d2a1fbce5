#include <tercet/asyncio.hpp>
#include <tercet/futures/future.hpp>

#include <gtest/gtest.h>

#include <stdexcept>

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using tercet::cancelled_error;

namespace {

coro<int> answer() { co_return 42; }
coro<> never() { co_await sleep(1h); }
coro<> short_sleep() { co_await sleep(3ms); }

}  // namespace

TEST(wait_for, gives_what_comes_in_time_and_throws_when_nothing_does) {
    auto main = []() -> coro<int> {
        try {
            co_await wait_for(never(), 1ms);
            ADD_FAILURE();
        } catch (const tercet::timeout_error&) {
        }
        const task<int> from_task = create_task(answer());
        const int first = co_await wait_for(from_task, 1h);
        tercet::promise<int> source;
        source.set_result(1);
        const int second = co_await wait_for(source.get_future(), 1h);
        const int third = co_await wait_for(answer(), 1h);
        co_return first + second + third;
    };
    EXPECT_EQ(run(main()), 85);
}

TEST(wait_for, with_a_result_in_the_turn_of_an_outer_cancellation_loses_neither) {
    auto main = []() -> coro<> {
        event ready;
        int value = 0;
        bool is_cancelled_after = false;
        auto inner = [&]() -> coro<int> {
            co_await ready.wait();
            co_return 5;
        };
        auto work = [&]() -> coro<> {
            value = co_await wait_for(create_task(inner()), 1h);
            try {
                co_await sleep(1h);
            } catch (const cancelled_error&) {
                is_cancelled_after = true;
            }
        };
        const task<> waiting = create_task(work());
        for (int i = 0; i < 3; ++i) co_await sleep(0s);
        ready.set();
        waiting.cancel();
        co_await waiting;
        EXPECT_EQ(value, 5);
        EXPECT_TRUE(is_cancelled_after);
    };
    run(main());
}

TEST(wait_for, returns_after_the_clean_up_and_its_error_wins) {
    auto main = []() -> coro<> {
        auto slow = []() -> coro<> {
            try {
                co_await sleep(1h);
            } catch (const cancelled_error&) {
            }
            co_await shield(1h, short_sleep());
            throw std::runtime_error("clean-up");
        };
        const task<> cleaning = create_task(slow());
        try {
            co_await wait_for(cleaning, 1ms);
            ADD_FAILURE();
        } catch (const std::runtime_error& error) {
            EXPECT_STREQ(error.what(), "clean-up");
        }
        EXPECT_TRUE(cleaning.done());
    };
    run(main());
}

TEST(wait_for, zero_gives_what_is_done_and_begins_nothing) {
    auto main = []() -> coro<> {
        const task<int> done = create_task(answer());
        co_await done;
        const int value = co_await wait_for(done, 0s);
        EXPECT_EQ(value, 42);
        bool has_begun = false;
        auto work = [&]() -> coro<> {
            has_begun = true;
            co_return;
        };
        try {
            co_await wait_for(work(), 0s);
            ADD_FAILURE();
        } catch (const tercet::timeout_error&) {
        }
        EXPECT_FALSE(has_begun);
        EXPECT_THROW(static_cast<void>(wait_for(answer(), -1s)), std::invalid_argument);
    };
    run(main());
}
