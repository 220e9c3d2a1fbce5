#include <tercet/asyncio.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "asyncio/group_tasks.hpp"
#include "asyncio/unread_errors.hpp"

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using namespace group_tasks;
using tercet::cancelled_error;
using tercet::exception_group;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(task_group, waits_for_its_children_and_gives_what_the_body_returns) {
    auto main = []() -> coro<int> {
        task<int> first;
        task<int> second;
        auto body = [&](task_group& group) -> coro<std::string> {
            first = group.create_task(value_after(3, 1), {.name = "first"});
            second = group.create_task(value_after(1, 2));
            EXPECT_EQ(group.size(), 2U);
            EXPECT_EQ(first.name(), "first");
            co_return "body";
        };
        const std::string returned = co_await with_task_group(body);
        EXPECT_EQ(returned, "body");
        co_return first.result() + second.result();
    };
    EXPECT_EQ(run(main()), 3);
}

TEST(task_group, without_children_ends_at_once) {
    auto main = []() -> coro<> {
        auto body = [](task_group&) -> coro<> { co_return; };
        co_await with_task_group(body);
        EXPECT_EQ(all_tasks().size(), 1U);
    };
    run(main());
}

TEST(task_group, a_child_that_fails_cancels_siblings_and_body_and_all_are_awaited) {
    std::vector<std::string> log;
    auto main = [&]() -> coro<> {
        bool was_body_cancelled = false;
        auto body = [&](task_group& group) -> coro<> {
            group.create_task(sleep_for_ever(log));
            group.create_task(fail_after(1, "broken"));
            try {
                co_await sleep(1h);
            } catch (const cancelled_error&) {
                was_body_cancelled = true;
                throw;
            }
        };
        const auto errors = co_await errors_of(with_task_group(body));
        EXPECT_THAT(errors, ElementsAre(HasSubstr("broken")));
        EXPECT_TRUE(was_body_cancelled);
        EXPECT_EQ(all_tasks().size(), 1U);
        co_await sleep(0s);  // the caller is not cancelled
    };
    run(main());
    EXPECT_THAT(log, ElementsAre("a sibling failed"));
}

TEST(task_group, every_real_error_is_in_the_group_in_the_order_of_time) {
    const unread_errors unread;
    auto main = []() -> coro<> {
        auto fails_when_cancelled = []() -> coro<> {
            try {
                co_await sleep(1h);
            } catch (const cancelled_error&) {
            }
            throw std::runtime_error("second");
        };
        auto body = [&](task_group& group) -> coro<> {
            group.create_task(fails_when_cancelled());
            group.create_task(fail_after(1, "first"));
            try {
                co_await sleep(1h);
            } catch (const cancelled_error&) {
            }
            throw std::logic_error("body");
        };
        const auto errors = co_await errors_of(with_task_group(body, {.name = "of three"}));
        EXPECT_THAT(errors, testing::UnorderedElementsAre(HasSubstr("first"), HasSubstr("second"), HasSubstr("body")));
        EXPECT_THAT(errors.front(), HasSubstr("first"));
        auto fails = [](task_group& group) -> coro<> {
            group.create_task(fail_after(0, "x"));
            co_return;
        };
        try {
            co_await with_task_group(fails, {.name = "pages"});
            ADD_FAILURE();
        } catch (const exception_group& error) {
            EXPECT_THAT(error.what(), HasSubstr("task_group pages"));
        }
    };
    run(main());
    EXPECT_THAT(unread.texts(), IsEmpty());
}

TEST(task_group, an_error_of_the_body_cancels_the_children) {
    std::vector<std::string> log;
    auto main = [&]() -> coro<> {
        auto body = [&](task_group& group) -> coro<> {
            group.create_task(sleep_for_ever(log));
            co_await turns(1);
            throw std::runtime_error("body");
        };
        const auto errors = co_await errors_of(with_task_group(body));
        EXPECT_THAT(errors, ElementsAre(HasSubstr("body")));
    };
    run(main());
    EXPECT_EQ(log.size(), 1U);
}

TEST(task_group, goes_on_when_a_child_is_cancelled_alone) {
    auto main = []() -> coro<> {
        std::vector<std::string> log;
        task<int> other;
        auto body = [&](task_group& group) -> coro<> {
            const task<> alone = group.create_task(sleep_for_ever(log));
            other = group.create_task(value_after(5, 3));
            co_await turns(1);
            alone.cancel("you only");
        };
        co_await with_task_group(body);
        EXPECT_EQ(other.result(), 3);
        EXPECT_THAT(log, ElementsAre("you only"));
    };
    run(main());
}

TEST(task_group, a_cancellation_from_outside_goes_to_the_children_and_leaves_bare) {
    std::vector<std::string> log;
    auto main = [&]() -> coro<> {
        auto body = [&](task_group& group) -> coro<> {
            group.create_task(sleep_for_ever(log));
            group.create_task(sleep_for_ever(log));
            co_return;
        };
        const task<> outer = create_task(with_task_group(body));
        co_await turns(3);
        outer.cancel("the user left");
        try {
            co_await outer;
            ADD_FAILURE();
        } catch (const cancelled_error& error) {
            EXPECT_STREQ(error.what(), "the user left");
        }
        EXPECT_EQ(all_tasks().size(), 1U);
        auto in_body = [&](task_group& group) -> coro<> {
            group.create_task(sleep_for_ever(log));
            co_await sleep(1h);
        };
        const task<> waiting = create_task(with_task_group(in_body));
        co_await turns(3);
        waiting.cancel("and left again");
        try {
            co_await waiting;
            ADD_FAILURE();
        } catch (const cancelled_error& error) {
            EXPECT_STREQ(error.what(), "and left again");
        }
    };
    run(main());
    EXPECT_THAT(log, ElementsAre("the user left", "the user left", "and left again"));
}

TEST(task_group, an_error_wins_over_a_cancellation_from_outside) {
    auto main = []() -> coro<> {
        auto fails_when_cancelled = []() -> coro<> {
            try {
                co_await sleep(1h);
            } catch (const cancelled_error&) {
            }
            throw std::runtime_error("clean-up");
        };
        auto body = [&](task_group& group) -> coro<> {
            group.create_task(fails_when_cancelled());
            co_return;
        };
        bool is_still_cancelled = false;
        auto work = [&]() -> coro<> {
            const auto errors = co_await errors_of(with_task_group(body));
            EXPECT_THAT(errors, ElementsAre(HasSubstr("clean-up")));
            try {
                co_await sleep(0s);
            } catch (const cancelled_error&) {
                is_still_cancelled = true;
            }
        };
        const task<> outer = create_task(work());
        co_await turns(3);
        outer.cancel();
        co_await outer;
        EXPECT_TRUE(is_still_cancelled);
    };
    run(main());
}

TEST(task_group, a_group_in_a_group_that_fails_is_one_of_its_errors) {
    auto main = []() -> coro<> {
        auto inner = [](task_group& group) -> coro<> {
            group.create_task(fail_after(1, "deep"));
            co_return;
        };
        auto outer = [&](task_group& group) -> coro<> {
            group.create_task(with_task_group(inner, {.name = "inner"}));
            co_return;
        };
        try {
            co_await with_task_group(outer);
            ADD_FAILURE();
        } catch (const exception_group& group) {
            EXPECT_EQ(group.errors().size(), 1U);
            try {
                std::rethrow_exception(group.errors().front());
            } catch (const exception_group& nested) {
                EXPECT_THAT(texts_of(nested), ElementsAre(HasSubstr("deep")));
            }
        }
    };
    run(main());
}

TEST(task_group, an_outer_child_that_fails_cancels_the_inner_group_and_the_error_is_flat) {
    std::vector<std::string> log;
    auto main = [&]() -> coro<> {
        auto inner = [&](task_group& group) -> coro<> {
            group.create_task(sleep_for_ever(log));
            co_await sleep(1h);
        };
        auto outer = [&](task_group& group) -> coro<> {
            group.create_task(fail_after(2, "outer"));
            co_await with_task_group(inner);
        };
        const auto errors = co_await errors_of(with_task_group(outer));
        EXPECT_THAT(errors, ElementsAre(HasSubstr("outer")));
    };
    run(main());
    EXPECT_EQ(log.size(), 1U);
}

TEST(task_group, what_is_no_std_exception_leaves_bare_after_the_children_have_ended) {
    const unread_errors unread;
    std::vector<std::string> log;
    auto main = [&]() -> coro<> {
        auto body = [&](task_group& group) -> coro<> {
            group.create_task(sleep_for_ever(log));
            group.create_task(fail_after(1, "also"));
            co_await turns(1);
            throw 42;
        };
        try {
            co_await with_task_group(body);
            ADD_FAILURE();
        } catch (const int fatal) {
            EXPECT_EQ(fatal, 42);
        }
        EXPECT_EQ(log.size(), 1U);
    };
    run(main());
}

TEST(task_group, takes_no_child_after_its_end_nor_while_it_aborts_and_destroys_the_coroutine) {
    auto main = []() -> coro<> {
        auto held = std::make_shared<int>(1);
        auto work = [](std::shared_ptr<int>) -> coro<> { co_return; };
        bool was_refused = false;
        task_group* left = nullptr;
        auto cancelled = [&](task_group& group) -> coro<> {
            group.cancel();
            try {
                group.create_task(work(held));
            } catch (const tercet::invalid_state_error& error) {
                was_refused = true;
                EXPECT_THAT(error.what(), HasSubstr("cancelled"));
            }
            co_return;
        };
        co_await with_task_group(cancelled);
        EXPECT_TRUE(was_refused);
        EXPECT_EQ(held.use_count(), 1);
        task_group group;
        left = &group;
        co_await group.join();
        try {
            left->create_task(work(held));
            ADD_FAILURE();
        } catch (const tercet::invalid_state_error& error) {
            EXPECT_THAT(error.what(), HasSubstr("after its end"));
        }
        EXPECT_EQ(held.use_count(), 1);
    };
    run(main());
}

TEST(task_group, takes_no_child_after_one_has_failed) {
    std::string refusal;
    auto main = [&]() -> coro<> {
        auto fail = []() -> coro<> {
            throw std::runtime_error("broken");
            co_return;
        };
        auto nothing = []() -> coro<> { co_return; };
        auto body = [&](task_group& group) -> coro<> {
            group.create_task(fail());
            try {
                co_await sleep(1h);
            } catch (const cancelled_error&) {
            }
            try {
                group.create_task(nothing());
            } catch (const tercet::invalid_state_error& error) {
                refusal = error.what();
            }
        };
        try {
            co_await with_task_group(body);
            ADD_FAILURE();
        } catch (const tercet::exception_group& group) {
            EXPECT_EQ(group.errors().size(), 1U);
        }
    };
    run(main());
    EXPECT_THAT(refusal, HasSubstr("ending by an error"));
}

TEST(task_group, inside_a_timeout_ends_its_children_before_the_timeout_is_thrown) {
    std::vector<std::string> log;
    auto main = [&]() -> coro<> {
        auto body = [&](task_group& group) -> coro<> {
            group.create_task(sleep_for_ever(log));
            co_await sleep(1h);
        };
        try {
            co_await timeout(2ms, with_task_group(body));
            ADD_FAILURE();
        } catch (const tercet::timeout_error&) {
            EXPECT_EQ(log.size(), 1U);
            EXPECT_EQ(all_tasks().size(), 1U);
        }
        co_await sleep(0s);
    };
    run(main());
}

TEST(task_group, cancel_ends_it_without_an_error) {
    std::vector<std::string> log;
    auto main = [&]() -> coro<> {
        bool has_passed = false;
        auto body = [&](task_group& group) -> coro<> {
            group.create_task(sleep_for_ever(log));
            co_await turns(2);
            group.cancel("enough");
            EXPECT_TRUE(group.cancel_called());
            co_await sleep(0s);
            has_passed = true;
        };
        co_await with_task_group(body);
        EXPECT_FALSE(has_passed);
        co_await sleep(0s);
    };
    run(main());
    EXPECT_THAT(log, ElementsAre("enough"));
}

TEST(task_group, a_child_may_add_children_and_cancel_the_group) {
    std::vector<std::string> log;
    auto main = [&]() -> coro<> {
        auto body = [&](task_group& group) -> coro<> {
            auto child = [](task_group& owner, std::vector<std::string>& notes) -> coro<> {
                owner.create_task(sleep_for_ever(notes));
                co_await turns(2);
                owner.cancel("by a child");
            };
            group.create_task(child(group, log));
            co_return;
        };
        co_await with_task_group(body);
    };
    run(main());
    EXPECT_THAT(log, ElementsAre("by a child"));
}

TEST(task_group, an_eager_child_that_ends_in_its_first_step_counts) {
    auto main = []() -> coro<> {
        auto body = [](task_group& group) -> coro<> {
            const task<int> done = group.create_task(value_after(0, 1), {.eager_start = true});
            EXPECT_TRUE(done.done());
            EXPECT_EQ(group.size(), 0U);
            group.create_task(fail_after(0, "eager"), {.eager_start = true});
            co_await sleep(1h);
        };
        const auto errors = co_await errors_of(with_task_group(body));
        EXPECT_THAT(errors, ElementsAre(HasSubstr("eager")));
    };
    run(main());
}

TEST(task_group, runs_no_more_children_at_once_than_its_limit_in_their_order) {
    auto main = []() -> coro<> {
        int running = 0;
        int most = 0;
        std::vector<int> order;
        auto child = [&](int number) -> coro<> {
            order.push_back(number);
            most = std::max(most, ++running);
            co_await turns(3);
            --running;
        };
        auto body = [&](task_group& group) -> coro<> {
            for (int i = 0; i < 10; ++i) group.create_task(child(i));
            EXPECT_EQ(group.size(), 10U);
            co_return;
        };
        co_await with_task_group(body, {.limit = 3});
        EXPECT_EQ(most, 3);
        EXPECT_THAT(order, ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9));
        try {
            co_await with_task_group(body, {.limit = 0});
            ADD_FAILURE();
        } catch (const std::invalid_argument&) {
        }
    };
    run(main());
}

TEST(task_group, children_that_wait_for_their_turn_do_not_begin_when_one_fails) {
    auto main = []() -> coro<> {
        int begun = 0;
        auto held = std::make_shared<int>(1);
        auto child = [&](std::shared_ptr<int>) -> coro<> {
            ++begun;
            co_await turns(2);
            throw std::runtime_error("broken");
        };
        auto body = [&](task_group& group) -> coro<> {
            for (int i = 0; i < 10; ++i) group.create_task(child(held));
            co_return;
        };
        const auto errors = co_await errors_of(with_task_group(body, {.limit = 1}));
        EXPECT_THAT(errors, ElementsAre(HasSubstr("broken")));
        EXPECT_EQ(begun, 1);
        EXPECT_EQ(held.use_count(), 1);
    };
    run(main());
}

TEST(task_group, a_result_group_gives_the_results_in_the_order_of_creation) {
    auto main = []() -> coro<std::vector<int>> {
        auto body = [](result_group<int>& group) -> coro<> {
            for (int i = 0; i < 5; ++i) group.create_task(value_after(5 - i, i));
            co_return;
        };
        co_return co_await with_task_group<result_group<int>>(body, {.limit = 2});
    };
    EXPECT_THAT(run(main()), ElementsAre(0, 1, 2, 3, 4));
}

TEST(task_group, of_one_task_may_not_be_joined_by_another) {
    auto main = []() -> coro<> {
        auto body = [](task_group& group) -> coro<> {
            auto joins = [](task_group& other) -> coro<> { co_await other.join(); };
            const task<> foreign = create_task(joins(group));
            try {
                co_await foreign;
                ADD_FAILURE();
            } catch (const tercet::invalid_state_error&) {
            }
        };
        co_await with_task_group(body);
    };
    run(main());
}

TEST(task_group, a_body_that_is_cancelled_before_it_returns_a_value_has_none) {
    auto main = []() -> coro<> {
        auto body = [](task_group& group) -> coro<int> {
            group.cancel();
            co_await sleep(0s);
            co_return 1;
        };
        try {
            co_await with_task_group(body);
            ADD_FAILURE();
        } catch (const cancelled_error& error) {
            EXPECT_THAT(error.what(), HasSubstr("before its body"));
        }
        co_await sleep(0s);
    };
    run(main());
}

TEST(task_group, a_result_that_comes_in_the_turn_of_a_cancellation_is_kept) {
    auto main = []() -> coro<> {
        event gate;
        task<> outer;
        bool is_cancelled_after = false;
        int value = 0;
        auto child = [&]() -> coro<int> {
            co_await gate.wait();
            co_return 8;
        };
        auto work = [&]() -> coro<> {
            auto body = [&](result_group<int>& group) -> coro<> {
                group.create_task(child());
                co_return;
            };
            const std::vector<int> all = co_await with_task_group<result_group<int>>(body);
            value = all.front();
            try {
                co_await sleep(0s);
            } catch (const cancelled_error&) {
                is_cancelled_after = true;
            }
        };
        outer = create_task(work());
        co_await turns(3);
        gate.set();
        outer.cancel();
        co_await outer;
        EXPECT_EQ(value, 8);
        EXPECT_TRUE(is_cancelled_after);
    };
    run(main());
}

TEST(task_group, a_child_that_waits_for_the_task_of_the_group_can_be_cancelled) {
    auto main = []() -> coro<bool> {
        task<> parent;
        auto child = [&]() -> coro<> { co_await parent; };
        auto body = [&](task_group& group) -> coro<> {
            group.create_task(child());
            co_return;
        };
        parent = create_task(with_task_group(body));
        co_await turns(3);
        parent.cancel();
        try {
            co_await parent;
        } catch (const cancelled_error&) {
            co_return true;
        }
        co_return false;
    };
    EXPECT_TRUE(run(main()));
}

TEST(task_group, a_million_children_one_after_the_other_leave_nothing_behind) {
    auto main = []() -> coro<> {
        auto body = [](task_group& group) -> coro<> {
            for (int i = 0; i < 100'000; ++i) {
                group.create_task(value_after(0, i));
                if (i % 100 == 0) co_await sleep(0s);
            }
            co_await turns(2);
            EXPECT_EQ(group.size(), 0U);
        };
        co_await with_task_group(body);
    };
    run(main());
}

namespace {

void destroy_a_group_with_children() {
    std::vector<std::string> log;
    auto main = [&]() -> coro<> {
        task_group group({.name = "lost"});
        group.create_task(sleep_for_ever(log), {.name = "orphan"});
        co_return;
    };
    run(main());
}

}  // namespace

TEST(task_group_death, destroyed_before_its_children_have_ended_it_names_them) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(destroy_a_group_with_children(), "lost.*1 child alive: orphan");
}

// start
