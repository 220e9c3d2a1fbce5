#include <tercet/asyncio.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "asyncio/unread_errors.hpp"

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using tercet::cancelled_error;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

namespace {

coro<int> value_after(int turns, int value) {
    for (int i = 0; i < turns; ++i) co_await sleep(0s);
    co_return value;
}

coro<int> fail_after(int turns, std::string text) {
    for (int i = 0; i < turns; ++i) co_await sleep(0s);
    throw std::runtime_error(text);
}

coro<int> sleep_for_ever(bool& was_cancelled) {
    try {
        co_await sleep(1h);
    } catch (const cancelled_error&) {
        was_cancelled = true;
        throw;
    }
    co_return 0;
}

coro<> nothing() { co_return; }

}  // namespace

TEST(gather, gives_results_in_the_order_of_the_calls) {
    auto main = []() -> coro<std::vector<int>> {
        std::vector<coro<int>> calls;
        for (int i = 0; i < 5; ++i) calls.push_back(value_after(5 - i, i));
        co_return co_await gather(std::move(calls));
    };
    EXPECT_THAT(run(main()), ElementsAre(0, 1, 2, 3, 4));
}

TEST(gather, takes_calls_of_different_types) {
    auto word = []() -> coro<std::string> { co_return "two"; };
    auto main = [&]() -> coro<> {
        auto [one, two, three] = co_await gather(value_after(1, 1), word(), nothing());
        EXPECT_EQ(one, 1);
        EXPECT_EQ(two, "two");
        EXPECT_EQ(three, std::monostate());
    };
    run(main());
}

TEST(gather, of_nothing_gives_nothing) {
    auto main = []() -> coro<> {
        const std::vector<int> none = co_await gather(std::vector<coro<int>>());
        EXPECT_THAT(none, IsEmpty());
        co_await gather(std::vector<coro<>>());
    };
    run(main());
}

TEST(gather, the_first_error_cancels_the_siblings_and_comes_when_they_have_ended) {
    auto main = []() -> coro<> {
        bool was_cancelled = false;
        try {
            co_await gather(sleep_for_ever(was_cancelled), fail_after(1, "first"));
            ADD_FAILURE();
        } catch (const std::runtime_error& error) {
            EXPECT_STREQ(error.what(), "first");
        }
        EXPECT_TRUE(was_cancelled);
        EXPECT_EQ(all_tasks().size(), 1U);
    };
    run(main());
}

TEST(gather, the_first_error_in_time_wins_and_others_are_reported) {
    const unread_errors unread;
    auto stubborn = []() -> coro<int> {
        try {
            co_await sleep(1h);
        } catch (const cancelled_error&) {
        }
        throw std::runtime_error("second");
    };
    auto main = [&]() -> coro<> {
        try {
            co_await gather(stubborn(), fail_after(1, "first"));
            ADD_FAILURE();
        } catch (const std::runtime_error& error) {
            EXPECT_STREQ(error.what(), "first");
        }
    };
    run(main());
    EXPECT_THAT(unread.texts(), ElementsAre(HasSubstr("second")));
}

TEST(gather, cancelled_it_cancels_every_child) {
    auto main = []() -> coro<> {
        bool first = false;
        bool second = false;
        auto both = [&]() -> coro<> { co_await gather(sleep_for_ever(first), sleep_for_ever(second)); };
        task<> waiting = create_task(both());
        co_await sleep(0s);
        co_await sleep(0s);
        waiting.cancel("why");
        try {
            co_await waiting;
            ADD_FAILURE();
        } catch (const cancelled_error& error) {
            EXPECT_STREQ(error.what(), "why");
        }
        EXPECT_TRUE(first);
        EXPECT_TRUE(second);
    };
    run(main());
}

TEST(gather, a_child_that_others_cancel_is_an_error_not_a_cancellation_of_the_caller) {
    auto main = []() -> coro<> {
        auto cancels_itself = []() -> coro<int> {
            current_task().cancel();
            co_await sleep(0s);
            co_return 1;
        };
        bool was_sibling_cancelled = false;
        try {
            co_await gather(cancels_itself(), sleep_for_ever(was_sibling_cancelled));
            ADD_FAILURE();
        } catch (const cancelled_error&) {
        }
        EXPECT_TRUE(was_sibling_cancelled);
        co_await sleep(0s);
    };
    run(main());
}

TEST(gather, return_exceptions_keeps_every_outcome) {
    const unread_errors unread;
    auto main = []() -> coro<> {
        std::vector<coro<int>> calls;
        calls.push_back(value_after(3, 1));
        calls.push_back(fail_after(1, "broken"));
        calls.push_back(value_after(0, 3));
        std::vector<outcome<int>> all = co_await gather(return_exceptions, std::move(calls));
        EXPECT_EQ(all[0].value(), 1);
        EXPECT_FALSE(all[1].has_value());
        EXPECT_THAT(tercet::describe(all[1].error()), HasSubstr("broken"));
        EXPECT_THROW(static_cast<void>(all[1].value()), std::runtime_error);
        EXPECT_EQ(all[2].value(), 3);
        EXPECT_EQ(all[2].error(), nullptr);
        auto [good, bad] = co_await gather(return_exceptions, nothing(), fail_after(0, "again"));
        EXPECT_TRUE(good.has_value());
        EXPECT_FALSE(bad.has_value());
    };
    run(main());
    EXPECT_THAT(unread.texts(), IsEmpty());
}

TEST(gather, return_exceptions_does_not_swallow_a_cancellation_of_the_caller) {
    auto main = []() -> coro<> {
        bool was_cancelled = false;
        auto all = [&]() -> coro<> { co_await gather(return_exceptions, sleep_for_ever(was_cancelled)); };
        task<> waiting = create_task(all());
        co_await sleep(0s);
        co_await sleep(0s);
        waiting.cancel();
        try {
            co_await waiting;
            ADD_FAILURE();
        } catch (const cancelled_error&) {
        }
        EXPECT_TRUE(was_cancelled);
    };
    run(main());
}

TEST(gather, ten_thousand_side_by_side) {
    auto main = []() -> coro<long> {
        std::vector<coro<int>> calls;
        for (int i = 0; i < 10'000; ++i) calls.push_back(value_after(2, 1));
        const std::vector<int> all = co_await gather(std::move(calls));
        long sum = 0;
        for (const int each : all) sum += each;
        co_return sum;
    };
    EXPECT_EQ(run(main()), 10'000);
}
