#include <tercet/asyncio.hpp>
#include <tercet/futures/future.hpp>
#include <tercet/futures/shared_future.hpp>

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
using testing::IsEmpty;

namespace {

/// Waits for `gate`, notes that it came through, and gives 7.
coro<int> pass(event& gate, std::vector<std::string>& log) {
    try {
        co_await gate.wait();
        log.emplace_back("passed");
    } catch (const cancelled_error&) {
        log.emplace_back("cancelled");
        throw;
    }
    co_return 7;
}

coro<> turns(int count) {
    for (int i = 0; i < count; ++i) co_await sleep(0s);
}

}  // namespace

TEST(shield, holds_an_outer_cancellation_off_and_the_next_wait_throws) {
    std::vector<std::string> log;
    auto main = [&]() -> coro<> {
        event gate;
        auto work = [&]() -> coro<> {
            const int value = co_await shield(1h, pass(gate, log));
            EXPECT_EQ(value, 7);
            try {
                co_await sleep(0s);
            } catch (const cancelled_error&) {
                log.emplace_back("then cancelled");
            }
        };
        const task<> outer = create_task(work());
        co_await turns(2);
        outer.cancel();
        co_await turns(2);
        EXPECT_THAT(log, IsEmpty());
        gate.set();
        co_await outer;
    };
    run(main());
    EXPECT_THAT(log, ElementsAre("passed", "then cancelled"));
}

TEST(shield, lets_a_cancellation_through_when_its_bound_has_passed) {
    std::vector<std::string> log;
    auto main = [&]() -> coro<> {
        event never;
        auto work = [&]() -> coro<> { co_await shield(5ms, pass(never, log)); };
        const task<> outer = create_task(work());
        const auto begun = get_running_loop().time();
        co_await turns(2);
        outer.cancel();
        try {
            co_await outer;
            ADD_FAILURE();
        } catch (const cancelled_error&) {
        }
        EXPECT_GE(get_running_loop().time() - begun, 5ms);
    };
    run(main());
    EXPECT_THAT(log, ElementsAre("cancelled"));
}

TEST(shield, does_not_end_work_that_nobody_cancels) {
    auto main = []() -> coro<int> {
        auto slow = []() -> coro<int> {
            co_await sleep(5ms);
            co_return 3;
        };
        co_return co_await shield(1ms, slow());
    };
    EXPECT_EQ(run(main()), 3);
}

TEST(shield, of_a_task_keeps_a_cancellation_of_the_one_who_awaits_from_it) {
    std::vector<std::string> log;
    auto main = [&]() -> coro<> {
        event gate;
        const task<int> inner = create_task(pass(gate, log));
        auto work = [&]() -> coro<> { co_await shield(1h, inner); };
        const task<> outer = create_task(work());
        co_await turns(2);
        outer.cancel();
        co_await turns(2);
        EXPECT_FALSE(inner.done());
        gate.set();
        co_await outer;
        EXPECT_FALSE(inner.cancelled());
    };
    run(main());
    EXPECT_THAT(log, ElementsAre("passed"));
}

TEST(shield, of_a_task_that_is_cancelled_itself_throws) {
    std::vector<std::string> log;
    auto main = [&]() -> coro<> {
        event gate;
        const task<int> inner = create_task(pass(gate, log));
        auto work = [&]() -> coro<> { co_await shield(1h, inner); };
        const task<> outer = create_task(work());
        co_await turns(2);
        inner.cancel();
        try {
            co_await outer;
            ADD_FAILURE();
        } catch (const cancelled_error&) {
        }
        EXPECT_TRUE(outer.cancelled());
    };
    run(main());
}

TEST(shield, an_error_that_comes_after_the_cancellation_is_not_lost) {
    const unread_errors unread;
    auto main = []() -> coro<> {
        event gate;
        auto fails = [&]() -> coro<> {
            co_await gate.wait();
            throw std::runtime_error("late");
        };
        auto work = [&]() -> coro<> { co_await shield(1h, create_task(fails())); };
        {
            const task<> outer = create_task(work());
            co_await turns(2);
            outer.cancel();
            gate.set();
            co_await turns(4);
        }
    };
    run(main());
    ASSERT_EQ(unread.texts().size(), 1U);
    EXPECT_THAT(unread.texts().front(), testing::HasSubstr("late"));
}

TEST(shield, without_a_bound_is_refused) {
    auto main = []() -> coro<> {
        bool has_begun = false;
        auto work = [&]() -> coro<> {
            has_begun = true;
            co_return;
        };
        try {
            co_await shield(tercet::time_limit::forever(), work());
            ADD_FAILURE();
        } catch (const std::invalid_argument&) {
        }
        EXPECT_FALSE(has_begun);
        co_await sleep(0s);  // the scope is gone
    };
    run(main());
}

TEST(shield, of_a_future_keeps_a_cancellation_from_the_work_until_the_bound_has_passed) {
    auto main = []() -> coro<> {
        tercet::promise<int> kept;
        int value = 0;
        auto waits = [&]() -> coro<> { value = co_await shield(1h, kept.get_future()); };
        task<> waiting = create_task(waits());
        co_await turns(2);
        waiting.cancel();
        co_await turns(2);
        EXPECT_TRUE(kept.set_running_or_notify_cancel());
        kept.set_result(7);
        co_await waiting;
        EXPECT_EQ(value, 7);

        tercet::promise<int> given_up;
        auto waits_a_little = [&]() -> coro<> { co_await shield(1ms, given_up.get_future()); };
        task<> waiting_a_little = create_task(waits_a_little());
        co_await turns(2);
        waiting_a_little.cancel();
        co_await wait(std::vector<task<>>(1, waiting_a_little));
        EXPECT_TRUE(waiting_a_little.cancelled());
        EXPECT_FALSE(given_up.set_running_or_notify_cancel());

        tercet::promise<int> for_all;
        const tercet::shared_future<int> shared = for_all.get_future().share();
        auto one_of_many = [&]() -> coro<> { co_await shield(1ms, shared); };
        task<> one = create_task(one_of_many());
        co_await turns(2);
        one.cancel();
        co_await wait(std::vector<task<>>(1, one));
        EXPECT_TRUE(one.cancelled());
        EXPECT_TRUE(for_all.set_running_or_notify_cancel());
        for_all.set_result(1);
    };
    run(main());
}
