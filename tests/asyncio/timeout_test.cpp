#include <tercet/asyncio.hpp>
#include <tercet/futures/future.hpp>
#include <tercet/futures/shared_future.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

#include "asyncio/runs_on.hpp"

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using tercet::cancelled_error;
using tercet::timeout_error;

namespace {

coro<int> answer() { co_return 42; }
coro<> sleep_long() { co_await sleep(1h); }

void block_for(std::chrono::nanoseconds time) {
    const auto until = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < until) {
    }
}

/// "timeout", "cancelled", another error's text, or "" when the coroutine ends normally.
coro<std::string> how_it_ends(coro<> work) {
    try {
        co_await std::move(work);
    } catch (const timeout_error&) {
        co_return "timeout";
    } catch (const cancelled_error&) {
        co_return "cancelled";
    } catch (const std::exception& error) {
        co_return error.what();
    }
    co_return "";
}

}  // namespace

TEST(timeout, delivers_a_result_in_time) {
    auto main = []() -> coro<int> { co_return co_await timeout(1h, answer()); };
    EXPECT_EQ(run(main()), 42);
}

TEST(timeout, throws_when_the_limit_passes_and_the_task_goes_on) {
    auto main = []() -> coro<> {
        const auto begun = get_running_loop().time();
        const std::string end = co_await how_it_ends(timeout(5ms, sleep_long()));
        EXPECT_EQ(end, "timeout");
        EXPECT_GE(get_running_loop().time() - begun, 5ms);
        co_await sleep(0s);
        EXPECT_EQ(all_tasks().size(), 1U);
    };
    run(main());
}

TEST(timeout, with_a_limit_of_zero_a_coroutine_does_not_begin) {
    auto main = []() -> coro<> {
        bool has_begun = false;
        auto work = [&]() -> coro<> {
            has_begun = true;
            co_return;
        };
        const std::string end = co_await how_it_ends(timeout(0s, work()));
        EXPECT_EQ(end, "timeout");
        const std::string late = co_await how_it_ends(timeout_at(get_running_loop().time() - 1s, work()));
        EXPECT_EQ(late, "timeout");
        EXPECT_FALSE(has_begun);
        EXPECT_THROW(static_cast<void>(timeout(-1s, work())), std::invalid_argument);
    };
    run(main());
}

TEST(timeout, with_a_limit_of_zero_something_done_gives_its_result) {
    auto main = []() -> coro<int> {
        task<int> done = create_task(answer());
        co_await done;
        const int from_task = co_await timeout(0s, done);
        tercet::promise<int> source;
        source.set_result(1);
        const int from_future = co_await timeout(0s, source.get_future());
        co_return from_task + from_future;
    };
    EXPECT_EQ(run(main()), 43);
}

TEST(timeout, cancels_a_task_and_waits_for_its_clean_up) {
    auto main = []() -> coro<> {
        bool is_cleaned = false;
        auto work = [&]() -> coro<> {
            try {
                co_await sleep(1h);
            } catch (const cancelled_error&) {
            }
            {
                cancel_scope shield({.shield = true});
                co_await sleep(3ms);
            }
            is_cleaned = true;
            co_await sleep(0s);
        };
        task<> slow = create_task(work());
        const std::string end = co_await how_it_ends(timeout(1ms, slow));
        EXPECT_EQ(end, "timeout");
        EXPECT_TRUE(is_cleaned);
        EXPECT_TRUE(slow.cancelled());
    };
    run(main());
}

TEST(timeout, an_error_from_the_clean_up_wins) {
    auto main = []() -> coro<> {
        auto work = []() -> coro<> {
            try {
                co_await sleep(1h);
            } catch (const cancelled_error&) {
                throw std::runtime_error("clean-up");
            }
        };
        const std::string end = co_await how_it_ends(timeout(1ms, work()));
        EXPECT_EQ(end, "clean-up");
    };
    run(main());
}

TEST(timeout, a_result_that_comes_nevertheless_is_delivered) {
    auto main = []() -> coro<int> {
        auto work = []() -> coro<int> {
            try {
                co_await sleep(1h);
            } catch (const cancelled_error&) {
            }
            co_return 3;
        };
        co_return co_await timeout(1ms, work());
    };
    EXPECT_EQ(run(main()), 3);
}

TEST(timeout, the_outer_deadline_fires_when_it_is_earlier) {
    auto main = []() -> coro<> {
        std::string inner_end;
        auto inner = [&]() -> coro<> {
            try {
                co_await timeout(1h, sleep_long());
            } catch (const cancelled_error&) {
                inner_end = "cancelled";
                throw;
            }
        };
        const std::string end = co_await how_it_ends(timeout(1ms, inner()));
        EXPECT_EQ(end, "timeout");
        EXPECT_EQ(inner_end, "cancelled");
    };
    run(main());
}

TEST(timeout, the_inner_deadline_leaves_the_outer_alone) {
    auto main = []() -> coro<> {
        auto inner = []() -> coro<> {
            const std::string end = co_await how_it_ends(timeout(1ms, sleep_long()));
            EXPECT_EQ(end, "timeout");
            co_await sleep(0s);
        };
        const std::string end = co_await how_it_ends(timeout(1h, inner()));
        EXPECT_EQ(end, "");
    };
    run(main());
}

TEST(timeout, both_due_in_one_busy_turn_are_honoured) {
    if (runs_on(loop_backend::sim)) GTEST_SKIP() << "the busy turn takes no virtual time";
    auto main = []() -> coro<> {
        std::string inner_end;
        auto busy = []() -> coro<> {
            block_for(5ms);
            co_await sleep(1h);
        };
        auto inner = [&]() -> coro<> {
            try {
                co_await timeout(1ms, busy());
            } catch (const timeout_error&) {
                inner_end = "timeout";
            } catch (const cancelled_error&) {
                inner_end = "cancelled";
                throw;
            }
            block_for(5ms);
            co_await sleep(1h);
        };
        const std::string end = co_await how_it_ends(timeout(2ms, inner()));
        EXPECT_EQ(end, "timeout");
        EXPECT_EQ(inner_end, "cancelled");
    };
    run(main());
}

TEST(timeout, a_foreign_cancellation_stays_one) {
    auto main = []() -> coro<> {
        auto work = []() -> coro<> { co_await timeout(1h, sleep_long()); };
        task<> waiting = create_task(work());
        co_await sleep(0s);
        waiting.cancel();
        try {
            co_await waiting;
            ADD_FAILURE();
        } catch (const cancelled_error&) {
        }
        EXPECT_TRUE(waiting.cancelled());
    };
    run(main());
}

TEST(timeout, expiry_and_a_foreign_cancellation_at_once_keep_the_cancellation) {
    auto main = []() -> coro<> {
        auto work = []() -> coro<> { co_await timeout(1ms, sleep_long()); };
        task<> waiting = create_task(work());
        co_await sleep(0s);
        get_running_loop().call_later(500us, [&] { waiting.cancel(); });
        block_for(5ms);
        try {
            co_await waiting;
            ADD_FAILURE();
        } catch (const cancelled_error&) {
        } catch (const timeout_error&) {
            ADD_FAILURE();
        }
    };
    run(main());
}

TEST(timeout, a_result_in_the_turn_of_an_outer_cancellation_loses_neither) {
    auto main = []() -> coro<> {
        event ready;
        int value = 0;
        bool is_cancelled_after = false;
        auto inner = [&]() -> coro<int> {
            co_await ready.wait();
            co_return 5;
        };
        auto work = [&]() -> coro<> {
            value = co_await timeout(1h, inner());
            try {
                co_await sleep(1h);
            } catch (const cancelled_error&) {
                is_cancelled_after = true;
            }
        };
        task<> waiting = create_task(work());
        co_await sleep(0s);
        ready.set();
        waiting.cancel();
        co_await waiting;
        EXPECT_EQ(value, 5);
        EXPECT_TRUE(is_cancelled_after);
    };
    run(main());
}

TEST(timeout, around_a_gather_comes_after_the_children_have_ended) {
    auto main = []() -> coro<> {
        auto both = []() -> coro<> { co_await gather(sleep_long(), sleep_long()); };
        const std::string end = co_await how_it_ends(timeout(1ms, both()));
        EXPECT_EQ(end, "timeout");
        EXPECT_EQ(all_tasks().size(), 1U);
    };
    run(main());
}

TEST(timeout, a_deadline_that_is_moved_later_or_earlier_is_honoured) {
    auto main = []() -> coro<> {
        auto later = [](deadline_scope& limit) -> coro<int> {
            limit.reschedule(limit.when() + 1h);
            co_await sleep(3ms);
            co_return 4;
        };
        const int value = co_await timeout(1ms, later);
        EXPECT_EQ(value, 4);
        auto without = [](deadline_scope& limit) -> coro<int> {
            limit.reschedule(event_loop::time_point::max());
            co_await sleep(3ms);
            co_return 5;
        };
        const int unlimited = co_await timeout_at(get_running_loop().time() + 1ms, without);
        EXPECT_EQ(unlimited, 5);
        auto earlier = [](deadline_scope& limit) -> coro<> {
            limit.reschedule(1ms);
            co_await sleep(1h);
        };
        const std::string end = co_await how_it_ends(timeout(1h, earlier));
        EXPECT_EQ(end, "timeout");
    };
    run(main());
}

TEST(timeout, a_deadline_that_is_moved_into_the_past_expires_at_once_and_for_good) {
    auto main = []() -> coro<> {
        bool is_refused = false;
        auto body = [&](deadline_scope& limit) -> coro<> {
            limit.reschedule(get_running_loop().time());
            EXPECT_TRUE(limit.expired());
            try {
                limit.reschedule(1h);
            } catch (const tercet::invalid_state_error&) {
                is_refused = true;
            }
            co_await sleep(0s);
            ADD_FAILURE();
        };
        const std::string end = co_await how_it_ends(timeout(1h, body));
        EXPECT_EQ(end, "timeout");
        EXPECT_TRUE(is_refused);
    };
    run(main());
}

TEST(timeout, with_a_limit_of_zero_a_body_that_takes_the_scope_does_not_begin) {
    auto main = []() -> coro<> {
        bool has_begun = false;
        auto body = [&](deadline_scope&) -> coro<> {
            has_begun = true;
            co_return;
        };
        const std::string end = co_await how_it_ends(timeout(0s, body));
        EXPECT_EQ(end, "timeout");
        EXPECT_FALSE(has_begun);
    };
    run(main());
}

TEST(timeout, cancels_a_future_whose_time_is_up_and_leaves_a_shared_one) {
    auto main = []() -> coro<> {
        tercet::promise<int> never;
        const auto begun = get_running_loop().time();
        auto pending = [&]() -> coro<> { co_await timeout(5ms, never.get_future()); };
        const std::string end = co_await how_it_ends(pending());
        EXPECT_EQ(end, "timeout");
        EXPECT_GE(get_running_loop().time() - begun, 5ms);
        EXPECT_FALSE(never.set_running_or_notify_cancel()) << "nobody can ask for the result any more";

        tercet::promise<int> later;
        const tercet::shared_future<int> shared = later.get_future().share();
        auto one_of_many = [&]() -> coro<> { co_await timeout(5ms, shared); };
        const std::string end_of_one = co_await how_it_ends(one_of_many());
        EXPECT_EQ(end_of_one, "timeout");
        EXPECT_TRUE(later.set_running_or_notify_cancel()) << "others may wait";
        later.set_result(7);
        const int value = co_await wait_for(shared, 1h);
        EXPECT_EQ(value, 7);
        const int at_once = co_await timeout_at(get_running_loop().time() - 1s, shared);
        EXPECT_EQ(at_once, 7) << "what is done gives its result, whatever the limit";
    };
    run(main());
}

TEST(timeout, at_a_moment_ends_tasks_and_futures_too) {
    auto main = []() -> coro<> {
        const auto soon = [] { return get_running_loop().time() + 5ms; };
        task<> asleep = create_task(sleep_long());
        auto of_task = [&]() -> coro<> { co_await timeout_at(soon(), asleep); };
        const std::string end_of_task = co_await how_it_ends(of_task());
        EXPECT_EQ(end_of_task, "timeout");
        EXPECT_TRUE(asleep.cancelled());
        tercet::promise<int> never;
        auto of_future = [&]() -> coro<> { co_await timeout_at(soon(), never.get_future()); };
        const std::string end_of_future = co_await how_it_ends(of_future());
        EXPECT_EQ(end_of_future, "timeout");
        EXPECT_FALSE(never.set_running_or_notify_cancel());
        task<int> done = create_task(answer());
        const int value = co_await timeout_at(get_running_loop().time() + 1h, done);
        EXPECT_EQ(value, 42);
    };
    run(main());
}
