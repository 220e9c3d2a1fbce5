#include <tercet/asyncio.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "asyncio/runs_on.hpp"

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using tercet::cancelled_error;
using tercet::invalid_state_error;
using testing::ElementsAre;

namespace {

/// Whether awaiting the task throws its cancellation.
coro<bool> ends_cancelled(task<> awaited) {
    bool is_thrown = false;
    try {
        co_await awaited;
    } catch (const cancelled_error&) {
        is_thrown = true;
    }
    co_return is_thrown;
}

constexpr int many = 50'000;  // more than a stack has room for

coro<> never() { co_await sleep(1h); }
coro<> after(task<> before) { co_await before; }

}  // namespace

TEST(cancel, goes_to_the_inner_task_first_and_the_outer_sees_it) {
    auto main = []() -> coro<> {
        std::vector<std::string> order;
        auto inner = [&]() -> coro<> {
            try {
                co_await sleep(1h);
            } catch (const cancelled_error&) {
                order.emplace_back("inner");
                throw;
            }
        };
        auto outer = [&]() -> coro<> {
            task<> waited = create_task(inner());
            try {
                co_await waited;
            } catch (const cancelled_error&) {
                order.emplace_back("outer");
                EXPECT_TRUE(waited.cancelled());
                throw;
            }
        };
        task<> both = create_task(outer());
        co_await sleep(0s);
        co_await sleep(0s);
        EXPECT_TRUE(both.cancel());
        const bool is_cancelled = co_await ends_cancelled(both);
        EXPECT_TRUE(is_cancelled);
        EXPECT_THAT(order, ElementsAre("inner", "outer"));
    };
    run(main());
}

TEST(cancel, a_task_that_did_not_begin_still_runs_its_first_step) {
    auto main = []() -> coro<> {
        bool has_begun = false;
        bool has_passed = false;
        auto work = [&]() -> coro<> {
            has_begun = true;
            co_await sleep(0s);
            has_passed = true;
        };
        task<> early = create_task(work());
        early.cancel();
        const bool is_cancelled = co_await ends_cancelled(early);
        EXPECT_TRUE(is_cancelled);
        EXPECT_TRUE(has_begun);
        EXPECT_FALSE(has_passed);
    };
    run(main());
}

TEST(cancel, every_later_wait_throws_too) {
    auto main = []() -> coro<> {
        int thrown = 0;
        event free;
        semaphore permits(1);
        auto stubborn = [&]() -> coro<> {
            for (int i = 0; i < 3; ++i) {
                try {
                    co_await sleep(1h);
                } catch (const cancelled_error&) {
                    ++thrown;
                }
            }
            try {
                co_await permits.acquire();
            } catch (const cancelled_error&) {
                ++thrown;
            }
            free.set();
            try {
                co_await free.wait();
            } catch (const cancelled_error&) {
                ++thrown;
            }
        };
        task<> work = create_task(stubborn());
        co_await sleep(0s);
        work.cancel();
        co_await work;
        EXPECT_EQ(thrown, 5);
        EXPECT_EQ(permits.available(), 1U);
        EXPECT_FALSE(work.cancelled());
    };
    run(main());
}

TEST(cancel, a_task_that_cancels_itself_in_its_last_step_keeps_its_result) {
    auto main = []() -> coro<int> {
        auto work = []() -> coro<int> {
            current_task().cancel();
            co_return 7;
        };
        task<int> done = create_task(work());
        const int value = co_await done;
        EXPECT_FALSE(done.cancelled());
        EXPECT_FALSE(done.cancel());
        co_return value;
    };
    EXPECT_EQ(run(main()), 7);
}

TEST(cancel, the_message_arrives) {
    auto main = []() -> coro<std::string> {
        auto work = []() -> coro<std::string> {
            try {
                co_await sleep(1h);
            } catch (const cancelled_error& error) {
                co_return error.what();
            }
            co_return "";
        };
        task<std::string> waiting = create_task(work());
        co_await sleep(0s);
        waiting.cancel("the user left");
        co_return co_await std::move(waiting);
    };
    EXPECT_EQ(run(main()), "the user left");
}

TEST(cancel, from_another_thread) {
    if (runs_on(loop_backend::sim))
        GTEST_SKIP() << "virtual time does not wait for a thread that owes the loop nothing";
    auto main = []() -> coro<> {
        auto work = []() -> coro<> { co_await sleep(1h); };
        task<> waiting = create_task(work());
        std::thread other([waiting] { EXPECT_TRUE(waiting.cancel()); });
        const bool is_cancelled = co_await ends_cancelled(waiting);
        other.join();
        EXPECT_TRUE(is_cancelled);
    };
    run(main());
}

TEST(cancel, from_another_thread_races_with_the_end_of_the_task) {
    for (int round = 0; round < 200; ++round) {
        std::thread other;
        auto main = [&]() -> coro<> {
            bool has_passed = false;
            auto work = [&]() -> coro<> {
                co_await sleep(0s);
                has_passed = true;
            };
            task<> ending = create_task(work());
            other = std::thread([ending] { ending.cancel(); });
            const bool is_cancelled = co_await ends_cancelled(ending);
            EXPECT_EQ(is_cancelled, ending.cancelled());
            EXPECT_EQ(is_cancelled, !has_passed);
        };
        run(main());
        other.join();
    }
}

TEST(cancel, ends_tasks_that_wait_for_each_other) {
    auto main = []() -> coro<> {
        task<> first;
        task<> second;
        auto wait = [](const task<>& other) -> coro<> { co_await other; };
        first = create_task(wait(second));
        second = create_task(wait(first));
        co_await sleep(0s);
        first.cancel();
        const bool is_cancelled = co_await ends_cancelled(first);
        EXPECT_TRUE(is_cancelled);
        EXPECT_TRUE(second.cancelled());
    };
    run(main());
}

TEST(cancel, of_one_who_waits_for_a_circle_of_shielded_tasks_arrives_when_the_shield_is_gone) {
    auto main = []() -> coro<> {
        task<> first;
        task<> second;
        cancel_scope* shield = nullptr;
        auto shielded = [&]() -> coro<> {
            cancel_scope scope({.shield = true});
            shield = &scope;
            co_await first;
        };
        auto wait = [](const task<>& other) -> coro<> { co_await other; };
        first = create_task(wait(second));
        second = create_task(shielded());
        task<> outside = create_task(wait(first));
        co_await sleep(0s);
        first.cancel();
        outside.cancel();
        co_await sleep(0s);
        EXPECT_FALSE(outside.done());
        shield->cancel();
        const bool is_cancelled = co_await ends_cancelled(outside);
        EXPECT_TRUE(is_cancelled);
    };
    run(main());
}

TEST(cancel, ends_a_gather_whose_child_waits_for_the_parent) {
    auto main = []() -> coro<> {
        task<> parent;
        auto child = [&]() -> coro<> { co_await parent; };
        auto gathers = [&]() -> coro<> { co_await gather(child(), child()); };
        parent = create_task(gathers());
        co_await sleep(0s);
        co_await sleep(0s);
        parent.cancel();
        const bool is_cancelled = co_await ends_cancelled(parent);
        EXPECT_TRUE(is_cancelled);
    };
    run(main());
}

TEST(cancel, a_timeout_ends_a_gather_whose_child_waits_for_the_parent) {
    auto main = []() -> coro<bool> {
        task<> parent;
        auto child = [&]() -> coro<> { co_await parent; };
        auto gathers = [&]() -> coro<> { co_await gather(child()); };
        auto in_time = [&]() -> coro<> { co_await timeout(1ms, gathers()); };
        parent = create_task(in_time());
        try {
            co_await parent;
        } catch (const tercet::timeout_error&) {
            co_return true;
        }
        co_return false;
    };
    EXPECT_TRUE(run(main()));
}

TEST(cancel, a_timeout_ends_a_wait_for_a_task_that_waits_for_this_one) {
    auto main = []() -> coro<bool> {
        task<> first;
        task<> second;
        auto wait = [](const task<>& other) -> coro<> { co_await other; };
        auto in_time = [&]() -> coro<> { co_await timeout(1ms, wait(second)); };
        first = create_task(in_time());
        second = create_task(wait(first));
        try {
            co_await first;
        } catch (const tercet::timeout_error&) {
            co_return second.cancelled();
        }
        co_return false;
    };
    EXPECT_TRUE(run(main()));
}

TEST(cancel, goes_along_a_chain_of_any_length) {
    auto main = []() -> coro<> {
        const task<> first = create_task(never());
        task<> last = first;
        for (int i = 0; i < many; ++i) last = create_task(after(last));
        co_await sleep(0s);
        co_await sleep(0s);
        last.cancel();
        const bool is_cancelled = co_await ends_cancelled(last);
        EXPECT_TRUE(is_cancelled);
        EXPECT_TRUE(first.cancelled());
    };
    run(main());
}

TEST(cancel, a_search_for_a_circle_goes_along_a_chain_of_any_length) {
    auto main = []() -> coro<> {
        task<> first;
        auto closes_the_circle = [&](const task<>& last) -> coro<> { co_await last; };
        task<> last;
        first = create_task(closes_the_circle(last));
        last = first;
        for (int i = 0; i < many; ++i) last = create_task(after(last));
        co_await sleep(0s);
        co_await sleep(0s);
        first.cancel();
        const bool is_cancelled = co_await ends_cancelled(first);
        EXPECT_TRUE(is_cancelled);
    };
    run(main());
}

TEST(cancel, a_scope_ends_its_own_waits_only) {
    auto main = []() -> coro<> {
        bool was_inside_cancelled = false;
        {
            cancel_scope scope;
            scope.cancel();
            try {
                co_await sleep(1h);
            } catch (const cancelled_error&) {
                was_inside_cancelled = true;
            }
            EXPECT_FALSE(scope.is_cancelled_outside());
        }
        EXPECT_TRUE(was_inside_cancelled);
        co_await sleep(0s);
    };
    run(main());
}

TEST(cancel, a_shield_holds_off_what_comes_from_outside_until_it_ends) {
    auto main = []() -> coro<> {
        std::vector<std::string> order;
        event cleaned;
        auto work = [&]() -> coro<> {
            try {
                co_await sleep(1h);
            } catch (const cancelled_error&) {
                order.emplace_back("caught");
            }
            {
                cancel_scope shield({.shield = true});
                co_await cleaned.wait();
                order.emplace_back("cleaned");
            }
            co_await sleep(0s);
            order.emplace_back("not reached");
        };
        task<> waiting = create_task(work());
        co_await sleep(0s);
        waiting.cancel();
        co_await sleep(0s);
        cleaned.set();
        const bool is_cancelled = co_await ends_cancelled(waiting);
        EXPECT_TRUE(is_cancelled);
        EXPECT_THAT(order, ElementsAre("caught", "cleaned"));
    };
    run(main());
}

TEST(cancel, a_scope_inside_a_shield_can_still_be_cancelled) {
    auto main = []() -> coro<> {
        cancel_scope shield({.shield = true});
        cancel_scope inner;
        bool was_cancelled = false;
        inner.cancel();
        try {
            co_await sleep(1h);
        } catch (const cancelled_error&) {
            was_cancelled = true;
        }
        EXPECT_TRUE(was_cancelled);
    };
    run(main());
}

TEST(cancel, a_shield_that_ends_lets_what_it_held_off_arrive_at_once) {
    auto main = []() -> coro<> {
        cancel_scope* shield = nullptr;
        bool was_cancelled = false;
        auto work = [&]() -> coro<> {
            cancel_scope scope({.shield = true});
            shield = &scope;
            try {
                co_await sleep(1h);
            } catch (const cancelled_error&) {
                was_cancelled = true;
            }
        };
        const task<> waiting = create_task(work());
        co_await sleep(0s);
        waiting.cancel();
        co_await sleep(0s);
        EXPECT_FALSE(waiting.done());
        EXPECT_TRUE(shield->shield());
        shield->set_shield(false);
        co_await waiting;
        EXPECT_TRUE(was_cancelled);
    };
    run(main());
}

TEST(cancel, requests_are_counted_and_the_waits_throw_until_all_are_taken_back) {
    auto main = []() -> coro<> {
        auto work = []() -> coro<int> {
            const task_handle self = current_task();
            int thrown = 0;
            for (int left = 2; left >= 0; --left) {
                try {
                    co_await sleep(0s);
                } catch (const cancelled_error&) {
                    ++thrown;
                }
                EXPECT_EQ(self.cancelling(), static_cast<unsigned>(left));
                self.uncancel();
            }
            EXPECT_EQ(self.uncancel(), 0U);
            co_return thrown;
        };
        task<int> twice = create_task(work());
        twice.cancel("first");
        twice.cancel("second");
        EXPECT_EQ(twice.cancelling(), 2U);
        const int thrown = co_await twice;
        EXPECT_EQ(thrown, 2);
    };
    run(main());
}

TEST(cancel, a_request_that_is_taken_back_before_a_wait_is_forgotten) {
    auto main = []() -> coro<std::string> {
        auto work = []() -> coro<std::string> {
            try {
                co_await sleep(1ms);
            } catch (const cancelled_error& error) {
                co_return error.what();
            }
            co_return "slept";
        };
        const task<std::string> forgiven = create_task(work());
        forgiven.cancel("no");
        forgiven.uncancel();
        const std::string first = co_await forgiven;
        const task<std::string> again = create_task(work());
        again.cancel("no");
        again.uncancel();
        again.cancel("yes");
        const std::string second = co_await again;
        co_return first + " " + second;
    };
    EXPECT_EQ(run(main()), "slept yes");
}

TEST(cancel, scopes_that_end_out_of_order_are_reported_and_the_others_stay_right) {
    std::vector<std::string> errors;
    auto main = [&]() -> coro<> {
        get_running_loop().set_exception_handler(
            [&](const std::exception_ptr& error, std::string_view) { errors.push_back(tercet::describe(error)); });
        auto outer = std::make_unique<cancel_scope>();
        auto inner = std::make_unique<cancel_scope>();
        inner->cancel();
        outer.reset();
        bool was_cancelled = false;
        try {
            co_await sleep(1h);
        } catch (const cancelled_error&) {
            was_cancelled = true;
        }
        EXPECT_TRUE(was_cancelled);
        inner.reset();
        co_await sleep(0s);
    };
    run(main());
    EXPECT_THAT(errors, ElementsAre(testing::HasSubstr("innermost")));
}

TEST(cancel, a_checkpoint_throws_where_a_wait_would_and_never_waits) {
    EXPECT_THROW(checkpoint_if_cancelled(), invalid_state_error);
    auto main = []() -> coro<> {
        checkpoint_if_cancelled();
        cancel_scope scope;
        scope.cancel();
        EXPECT_THROW(checkpoint_if_cancelled(), cancelled_error);
        const cancel_scope clean_up({.shield = true});
        checkpoint_if_cancelled();
        co_return;
    };
    run(main());
}

TEST(cancel, a_scope_outside_a_task_is_an_error) { EXPECT_THROW(cancel_scope(), tercet::invalid_state_error); }

TEST(cancel, main_that_is_cancelled_throws_from_run) {
    auto main = []() -> coro<> {
        current_task().cancel("enough");
        co_await sleep(0s);
    };
    EXPECT_THROW(run(main()), cancelled_error);
}
