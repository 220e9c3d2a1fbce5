#include <tercet/asyncio.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <thread>
#include <vector>

#include "asyncio/unread_errors.hpp"

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using tercet::cancelled_error;
using tercet::return_when;
using testing::ElementsAre;
using testing::IsEmpty;

namespace {

coro<int> value_after(int count, int value) {
    for (int i = 0; i < count; ++i) co_await sleep(0s);
    co_return value;
}

coro<int> fail_after(int count) {
    co_await value_after(count, 0);
    throw std::runtime_error("broken");
}

coro<int> never() {
    co_await sleep(1h);
    co_return 0;
}

}  // namespace

TEST(wait, for_all_gives_the_tasks_in_the_order_in_which_they_were_given) {
    auto main = []() -> coro<> {
        std::vector<task<int>> tasks;
        for (int i = 0; i < 4; ++i) tasks.push_back(create_task(value_after(4 - i, i)));
        auto result = co_await wait(tasks);
        EXPECT_THAT(result.done, ElementsAre(tasks[0], tasks[1], tasks[2], tasks[3]));
        EXPECT_THAT(result.not_done, IsEmpty());
        EXPECT_EQ(result.done[2].result(), 2);
    };
    run(main());
}

TEST(wait, for_the_first_leaves_the_others_running) {
    auto main = []() -> coro<> {
        const std::vector<task<int>> tasks{create_task(never()), create_task(value_after(2, 1))};
        auto result = co_await wait(tasks, {.return_when = return_when::first_completed});
        EXPECT_THAT(result.done, ElementsAre(tasks[1]));
        EXPECT_THAT(result.not_done, ElementsAre(tasks[0]));
        EXPECT_EQ(tasks[0].cancelling(), 0U);
    };
    run(main());
}

TEST(wait, for_an_exception_returns_at_the_failure_and_throws_nothing) {
    const unread_errors unread;
    auto main = []() -> coro<> {
        const std::vector<task<int>> tasks{create_task(value_after(1, 1)), create_task(fail_after(3)),
                                           create_task(never())};
        auto result = co_await wait(tasks, {.return_when = return_when::first_exception});
        EXPECT_THAT(result.done, ElementsAre(tasks[0], tasks[1]));
        EXPECT_THAT(result.not_done, ElementsAre(tasks[2]));
        EXPECT_NE(tasks[1].exception(), nullptr);
        const std::vector<task<int>> good{create_task(value_after(1, 1)), create_task(value_after(3, 2))};
        auto all = co_await wait(good, {.return_when = return_when::first_exception});
        EXPECT_EQ(all.done.size(), 2U);
    };
    run(main());
    EXPECT_THAT(unread.texts(), IsEmpty());
}

TEST(wait, folds_a_task_that_is_given_twice_and_returns_at_once_for_those_that_are_done) {
    auto main = []() -> coro<> {
        const task<int> one = create_task(value_after(0, 1));
        co_await one;
        const std::vector<task<int>> twice{one, one};
        auto result = co_await wait(twice);
        EXPECT_THAT(result.done, ElementsAre(one));
        auto none = co_await wait(std::vector<task<int>>());
        EXPECT_THAT(none.done, IsEmpty());
        const std::vector<task_handle> mixed{one, current_task()};
        auto polled = co_await wait(mixed, {.timeout = 0s});
        EXPECT_THAT(polled.done, ElementsAre(mixed[0]));
        EXPECT_THAT(polled.not_done, ElementsAre(mixed[1]));
    };
    run(main());
}

TEST(wait, gives_up_when_the_time_is_up_and_cancels_nothing) {
    auto main = []() -> coro<> {
        const std::vector<task<int>> tasks{create_task(never()), create_task(value_after(0, 1))};
        const auto begun = get_running_loop().time();
        auto result = co_await wait(tasks, {.timeout = 3ms});
        EXPECT_GE(get_running_loop().time() - begun, 3ms);
        EXPECT_THAT(result.done, ElementsAre(tasks[1]));
        EXPECT_THAT(result.not_done, ElementsAre(tasks[0]));
        EXPECT_EQ(tasks[0].cancelling(), 0U);
    };
    run(main());
}

TEST(wait, cancelled_leaves_the_tasks_as_they_are) {
    auto main = []() -> coro<> {
        const std::vector<task<int>> tasks{create_task(never())};
        auto waits = [&]() -> coro<> { co_await wait(tasks); };
        const task<> waiting = create_task(waits());
        co_await value_after(2, 0);
        waiting.cancel();
        try {
            co_await waiting;
            ADD_FAILURE();
        } catch (const cancelled_error&) {
        }
        EXPECT_FALSE(tasks[0].done());
        EXPECT_EQ(tasks[0].cancelling(), 0U);
    };
    run(main());
}

TEST(wait, refuses_a_task_that_runs_on_another_loop) {
    std::vector<task<int>> foreign;
    auto other = [&]() -> coro<> {
        event_loop& loop = get_running_loop();
        foreign.push_back(create_task(never()));
        event tried;
        std::thread([&] {
            auto main = [&]() -> coro<> {
                try {
                    co_await wait(foreign);
                    ADD_FAILURE();
                } catch (const tercet::invalid_state_error&) {
                }
            };
            run(main());
            loop.call_soon_threadsafe([&] { tried.set(); });
        }).join();
        co_await tried.wait();
    };
    run(other());
}
