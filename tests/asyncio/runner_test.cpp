#include <tercet/asyncio.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "asyncio/unread_errors.hpp"

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

const context_var<int> counter("counter", 0);

coro<int> count() {
    counter.set(counter.get() + 1);
    co_return counter.get();
}

}  // namespace

TEST(runner, runs_several_on_one_loop_and_keeps_their_context) {
    runner several;
    event_loop* seen = nullptr;
    auto look = [&]() -> coro<> {
        seen = &get_running_loop();
        co_return;
    };
    several.run(look());
    EXPECT_EQ(seen, &several.get_loop());
    EXPECT_EQ(several.run(count()), 1);
    EXPECT_EQ(several.run(count()), 2);
    EXPECT_EQ(counter.get(), 0);
}

TEST(runner, goes_on_with_the_tasks_that_one_has_left) {
    runner several;
    task<int> left;
    auto first = [&]() -> coro<> {
        auto work = []() -> coro<int> {
            co_await sleep(0s);
            co_return 7;
        };
        left = create_task(work());
        co_return;
    };
    several.run(first());
    EXPECT_FALSE(left.done());
    auto second = [&]() -> coro<int> { co_return co_await std::move(left); };
    EXPECT_EQ(several.run(second()), 7);
}

TEST(runner, throws_what_main_throws_and_runs_the_next) {
    runner several;
    auto fails = []() -> coro<> {
        throw std::runtime_error("first");
        co_return;
    };
    EXPECT_THROW(several.run(fails()), std::runtime_error);
    EXPECT_EQ(several.run(count()), 1);
}

TEST(runner, close_cancels_awaits_and_reports_what_is_left_and_ends_it) {
    const unread_errors unread;
    std::vector<std::string> log;
    runner several;
    auto cleans_up = [&]() -> coro<> {
        try {
            co_await sleep(1h);
        } catch (const tercet::cancelled_error& error) {
            log.emplace_back(error.what());
        }
        throw std::runtime_error("clean-up failed");
    };
    auto main = [&]() -> coro<> {
        create_task(cleans_up());
        co_await sleep(0s);
    };
    several.run(main());
    EXPECT_TRUE(log.empty());
    several.close();
    EXPECT_THAT(log, ElementsAre(HasSubstr("loop ends")));
    EXPECT_THAT(unread.texts(), ElementsAre(HasSubstr("clean-up failed")));
    EXPECT_THROW(several.run(count()), tercet::invalid_state_error);
}

TEST(runner, inside_a_running_loop_says_what_to_write) {
    auto main = []() -> coro<> {
        runner inner;
        try {
            inner.run(count());
            ADD_FAILURE();
        } catch (const tercet::invalid_state_error& error) {
            EXPECT_THAT(error.what(), HasSubstr("co_await"));
        }
        co_return;
    };
    run(main());
}
