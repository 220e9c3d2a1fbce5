#include <tercet/asyncio.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using tercet::cancelled_error;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

coro<int> value_after(int count, int value) {
    for (int i = 0; i < count; ++i) co_await sleep(0s);
    co_return value;
}

coro<int> never() {
    co_await sleep(1h);
    co_return 0;
}

}  // namespace

TEST(as_completed, gives_the_same_tasks_in_the_order_in_which_they_end) {
    auto main = []() -> coro<> {
        const std::vector<task<int>> tasks{create_task(value_after(6, 0)), create_task(value_after(2, 1)),
                                           create_task(value_after(4, 2))};
        std::vector<task<int>> out;
        auto completions = as_completed(tasks);
        while (auto done = co_await completions.next()) out.push_back(*done);
        EXPECT_THAT(out, ElementsAre(tasks[1], tasks[2], tasks[0]));
        EXPECT_EQ(out[0].result(), 1);
        const auto after_the_last = co_await completions.next();
        EXPECT_FALSE(after_the_last.has_value());
    };
    run(main());
}

TEST(as_completed, those_that_are_done_come_first_each_once) {
    auto main = []() -> coro<> {
        const task<int> early = create_task(value_after(0, 1));
        const task<int> late = create_task(value_after(3, 2));
        co_await early;
        const std::vector<task<int>> tasks{late, early, late};
        auto completions = as_completed(tasks);
        EXPECT_EQ(completions.left(), 2U);
        auto first = co_await completions.next();
        EXPECT_EQ(*first, early);
        auto second = co_await completions.next();
        EXPECT_EQ(*second, late);
        const auto third = co_await completions.next();
        EXPECT_FALSE(third.has_value());
    };
    run(main());
}

TEST(as_completed, with_a_limit_gives_what_is_done_first_and_then_says_how_many_are_not) {
    auto main = []() -> coro<> {
        const std::vector<task<int>> tasks{create_task(never()), create_task(value_after(0, 1)), create_task(never())};
        auto completions = as_completed(tasks, 3ms);
        co_await sleep(5ms);
        auto first = co_await completions.next();
        EXPECT_EQ(*first, tasks[1]);
        try {
            co_await completions.next();
            ADD_FAILURE();
        } catch (const tercet::timeout_error& error) {
            EXPECT_THAT(error.what(), HasSubstr("2 (of 3)"));
        }
        EXPECT_FALSE(tasks[0].done());
        EXPECT_EQ(tasks[0].cancelling(), 0U);
        auto waits_first = as_completed(tasks, 1ms);
        auto again = co_await waits_first.next();
        EXPECT_EQ(*again, tasks[1]);
        try {
            co_await waits_first.next();
            ADD_FAILURE();
        } catch (const tercet::timeout_error&) {
        }
    };
    run(main());
}

TEST(as_completed, keeps_no_reference_to_what_it_has_given) {
    auto main = []() -> coro<> {
        auto held = std::make_shared<int>(3);
        auto work = [](std::shared_ptr<int> value) -> coro<std::shared_ptr<int>> { co_return value; };
        std::vector<task<std::shared_ptr<int>>> tasks;
        tasks.push_back(create_task(work(held)));
        auto completions = as_completed(tasks);
        tasks.clear();
        {
            auto done = co_await completions.next();
            EXPECT_EQ(held.use_count(), 2);
        }
        EXPECT_EQ(held.use_count(), 1);
    };
    run(main());
}

TEST(as_completed, left_early_leaves_the_tasks_running) {
    auto main = []() -> coro<> {
        event gate;
        auto waits = [&]() -> coro<int> {
            co_await gate.wait();
            co_return 5;
        };
        const task<int> slow = create_task(waits());
        const std::vector<task<int>> tasks{slow, create_task(value_after(0, 1))};
        {
            auto completions = as_completed(tasks);
            co_await completions.next();
        }
        gate.set();
        const int value = co_await slow;
        EXPECT_EQ(value, 5);
    };
    run(main());
}

TEST(as_completed, a_cancelled_next_loses_no_task) {
    auto main = []() -> coro<> {
        event gate;
        auto waits = [&]() -> coro<int> {
            co_await gate.wait();
            co_return 5;
        };
        const std::vector<task<int>> tasks{create_task(waits())};
        auto completions = as_completed(tasks);
        auto next = [&]() -> coro<> { co_await completions.next(); };
        const task<> waiting = create_task(next());
        co_await value_after(2, 0);
        auto second = [&]() -> coro<bool> {
            try {
                co_await completions.next();
            } catch (const tercet::invalid_state_error&) {
                co_return true;
            }
            co_return false;
        };
        const bool is_second_refused = co_await second();
        EXPECT_TRUE(is_second_refused);
        waiting.cancel();
        gate.set();
        try {
            co_await waiting;
            ADD_FAILURE();
        } catch (const cancelled_error&) {
        }
        auto done = co_await completions.next();
        EXPECT_EQ(done->result(), 5);
    };
    run(main());
}
