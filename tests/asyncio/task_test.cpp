#include <tercet/asyncio.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

#include "asyncio/unread_errors.hpp"

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

namespace {

coro<int> answer() { co_return 42; }

coro<> fail(const char* text) {
    throw std::runtime_error(text);
    co_return;
}

coro<> wait_for(event& gate) { co_await gate.wait(); }

}  // namespace

TEST(task, begins_in_a_later_turn_not_at_once) {
    auto main = []() -> coro<> {
        bool has_begun = false;
        auto work = [&]() -> coro<> {
            has_begun = true;
            co_return;
        };
        task<> started = create_task(work());
        EXPECT_FALSE(has_begun);
        EXPECT_FALSE(started.done());
        co_await started;
        EXPECT_TRUE(has_begun);
        EXPECT_TRUE(started.done());
    };
    run(main());
}

TEST(task, result_may_be_asked_for_again_and_moved_out) {
    auto main = []() -> coro<> {
        auto work = []() -> coro<std::unique_ptr<int>> { co_return std::make_unique<int>(3); };
        auto made = create_task(work());
        EXPECT_THROW(made.result(), tercet::invalid_state_error);
        EXPECT_THROW(static_cast<void>(made.exception()), tercet::invalid_state_error);
        auto& kept = co_await made;
        EXPECT_EQ(*kept, 3);
        EXPECT_EQ(*made.result(), 3);
        EXPECT_EQ(made.exception(), nullptr);
        const auto moved = co_await std::move(made);
        EXPECT_EQ(*moved, 3);
    };
    run(main());
}

TEST(task, a_dropped_handle_does_not_stop_it) {
    auto main = []() -> coro<> {
        event gate;
        bool is_done = false;
        auto work = [&]() -> coro<> {
            co_await gate.wait();
            is_done = true;
        };
        create_task(work());
        co_await sleep(0s);
        gate.set();
        co_await sleep(0s);
        EXPECT_TRUE(is_done);
    };
    run(main());
}

TEST(task, several_may_await_one) {
    auto main = []() -> coro<int> {
        event gate;
        auto work = [&]() -> coro<int> {
            co_await gate.wait();
            co_return 5;
        };
        task<int> shared = create_task(work());
        auto ask = [&]() -> coro<int> {
            const int& value = co_await shared;
            co_return value;
        };
        task<int> first = create_task(ask());
        task<int> second = create_task(ask());
        co_await sleep(0s);
        gate.set();
        const int a = co_await first;
        const int b = co_await second;
        co_return a + b;
    };
    EXPECT_EQ(run(main()), 10);
}

TEST(task, cannot_await_itself) {
    auto main = []() -> coro<> {
        task<> self;
        auto work = [&]() -> coro<> { co_await self; };
        self = create_task(work());
        try {
            co_await self;
            ADD_FAILURE();
        } catch (const tercet::invalid_state_error& error) {
            EXPECT_THAT(error.what(), HasSubstr("itself"));
        }
    };
    run(main());
}

TEST(task, an_error_that_nobody_reads_is_reported_once_with_its_origin) {
    const unread_errors unread;
    auto main = []() -> coro<> {
        create_task(fail("nobody reads this"), {.name = "careless"});
        co_await sleep(0s);
        co_await sleep(0s);
    };
    run(main());
    EXPECT_THAT(unread.texts(), ElementsAre(testing::AllOf(HasSubstr("careless"), HasSubstr("task_test.cpp"),
                                                           HasSubstr("nobody reads this"))));
}

TEST(task, an_error_that_nobody_reads_goes_to_the_exception_handler_of_its_loop_once) {
    const unread_errors unread;
    std::vector<std::string> handled;
    auto main = [&]() -> coro<> {
        get_running_loop().set_exception_handler([&](const std::exception_ptr& error, std::string_view origin) {
            handled.push_back(std::string(origin) + ": " + tercet::describe(error));
        });
        create_task(fail("nobody reads this"), {.name = "careless"});
        co_await sleep(0s);
        co_await sleep(0s);
    };
    run(main());
    EXPECT_THAT(handled, ElementsAre(testing::AllOf(HasSubstr("careless"), HasSubstr("task_test.cpp"))));
    EXPECT_THAT(unread.texts(), IsEmpty());
}

TEST(task, an_eager_one_that_ends_in_its_first_step_is_done_at_once_and_the_current_task_is_restored) {
    auto main = []() -> coro<> {
        const task_handle outer = current_task();
        std::string inner_name;
        auto work = [&]() -> coro<int> {
            inner_name = current_task().name();
            co_return 5;
        };
        task<int> eager = create_task(work(), {.name = "eager", .eager_start = true});
        EXPECT_TRUE(eager.done());
        EXPECT_EQ(eager.result(), 5);
        EXPECT_EQ(inner_name, "eager");
        EXPECT_EQ(current_task(), outer);
        EXPECT_EQ(all_tasks().size(), 1U);
        const int value = co_await eager;
        EXPECT_EQ(value, 5);
    };
    run(main());
}

TEST(task, an_eager_one_runs_to_its_first_wait_and_goes_on_by_itself) {
    auto main = []() -> coro<> {
        std::vector<int> order;
        event gate;
        auto inner = [&]() -> coro<> {
            order.push_back(1);
            co_await gate.wait();
            order.push_back(3);
        };
        auto outer = [&]() -> coro<> {
            const task<> nested = create_task(inner(), {.eager_start = true});
            order.push_back(2);
            co_await nested;
            order.push_back(4);
        };
        const task<> both = create_task(outer(), {.eager_start = true});
        EXPECT_THAT(order, ElementsAre(1, 2));
        EXPECT_FALSE(both.done());
        gate.set();
        co_await both;
        EXPECT_THAT(order, ElementsAre(1, 2, 3, 4));
        event called;
        get_running_loop().call_soon([&] {
            auto from_callback = [&]() -> coro<> {
                EXPECT_TRUE(current_task().valid());
                called.set();
                co_return;
            };
            EXPECT_TRUE(create_task(from_callback(), {.eager_start = true}).done());
            EXPECT_FALSE(current_task().valid());
        });
        co_await called.wait();
    };
    run(main());
}

TEST(task, an_eager_one_has_a_context_of_its_own) {
    static const context_var<int> variable("variable", 1);
    auto main = []() -> coro<> {
        auto work = []() -> coro<> {
            variable.set(2);
            co_return;
        };
        create_task(work(), {.eager_start = true});
        EXPECT_EQ(variable.get(), 1);
        co_return;
    };
    run(main());
}

TEST(task, an_error_that_was_read_is_not_reported) {
    const unread_errors unread;
    auto main = []() -> coro<> {
        task<> failing = create_task(fail("read"));
        co_await sleep(0s);
        EXPECT_THAT(tercet::describe(failing.exception()), HasSubstr("read"));
        task<> awaited = create_task(fail("awaited"));
        try {
            co_await awaited;
            ADD_FAILURE();
        } catch (const std::runtime_error&) {
        }
    };
    run(main());
    EXPECT_THAT(unread.texts(), IsEmpty());
}

TEST(task, names_and_lists_tasks) {
    auto main = []() -> coro<> {
        event gate;
        EXPECT_EQ(current_task().name(), "main");
        task<> named = create_task(wait_for(gate), {.name = "waiter"});
        task<> unnamed = create_task(wait_for(gate));
        EXPECT_EQ(named.name(), "waiter");
        EXPECT_THAT(unnamed.name(), HasSubstr("task-"));
        unnamed.set_name("renamed");
        std::vector<std::string> names;
        for (const task_handle& each : all_tasks()) names.push_back(each.name());
        EXPECT_THAT(names, ElementsAre("main", "waiter", "renamed"));
        bool is_task_in_callback = true;
        get_running_loop().call_soon([&] { is_task_in_callback = current_task().valid(); });
        gate.set();
        co_await named;
        co_await unnamed;
        EXPECT_FALSE(is_task_in_callback);
        EXPECT_EQ(all_tasks().size(), 1U);
    };
    run(main());
}

TEST(task, done_callbacks_run_in_order_from_the_loop) {
    auto main = []() -> coro<> {
        std::vector<int> order;
        task<int> work = create_task(answer());
        work.add_done_callback([&] { order.push_back(1); });
        work.add_done_callback([&] { order.push_back(2); });
        co_await work;
        co_await sleep(0s);
        work.add_done_callback([&] { order.push_back(3); });
        EXPECT_THAT(order, ElementsAre(1, 2));
        co_await sleep(0s);
        EXPECT_THAT(order, ElementsAre(1, 2, 3));
    };
    run(main());
}

TEST(task, spawn_keeps_the_captures_of_a_lambda_alive) {
    auto main = []() -> coro<int> {
        task<int> started;
        {
            auto owned = std::make_unique<int>(9);
            started = spawn(
                [owned = std::move(owned)](int plus) -> coro<int> {
                    co_await sleep(0s);
                    co_return *owned + plus;
                },
                1);
        }
        const int value = co_await started;
        co_return value;
    };
    EXPECT_EQ(run(main()), 10);
}

TEST(task, what_the_coroutine_held_is_free_before_anyone_sees_the_result) {
    auto main = []() -> coro<> {
        auto held = std::make_shared<int>(1);
        auto work = [](std::shared_ptr<int> argument) -> coro<int> { co_return *argument; };
        task<int> done = create_task(work(held));
        co_await done;
        EXPECT_EQ(held.use_count(), 1);
    };
    run(main());
}

TEST(task, a_handle_outlives_the_loop_and_may_go_on_another_thread) {
    task<int> kept;
    auto main = [&]() -> coro<> {
        kept = create_task(answer());
        co_await kept;
    };
    run(main());
    EXPECT_EQ(kept.result(), 42);
    EXPECT_FALSE(kept.cancel());
    std::thread([moved = std::move(kept)]() mutable {
        EXPECT_EQ(moved.result(), 42);
        moved = {};
    }).join();
}

TEST(task, create_task_outside_a_loop_is_an_error) { EXPECT_THROW(create_task(answer()), tercet::invalid_state_error); }

TEST(task, a_coroutine_that_was_moved_from_is_refused) {
    auto main = []() -> coro<> {
        coro<int> work = answer();
        const int value = co_await std::move(work);
        EXPECT_EQ(value, 42);
        coro<int> other = answer();
        coro<int> taken = std::move(other);
        EXPECT_THROW(create_task(std::move(other)), tercet::invalid_state_error);
    };
    run(main());
}

TEST(task, leftover_tasks_are_cancelled_and_awaited_at_the_end_of_run) {
    const unread_errors unread;
    std::vector<std::string> log;
    auto cleans_up = [&]() -> coro<> {
        try {
            co_await sleep(1h);
        } catch (const tercet::cancelled_error& error) {
            log.emplace_back(error.what());
            throw;
        }
    };
    auto fails = [&]() -> coro<> {
        try {
            co_await sleep(1h);
        } catch (const tercet::cancelled_error&) {
        }
        throw std::runtime_error("clean-up failed");
    };
    auto main = [&]() -> coro<> {
        create_task(cleans_up());
        create_task(fails());
        co_await sleep(0s);
    };
    run(main());
    EXPECT_THAT(log, ElementsAre(HasSubstr("loop ends")));
    EXPECT_THAT(unread.texts(), ElementsAre(HasSubstr("clean-up failed")));
}

TEST(task, a_task_that_a_callback_makes_at_the_end_is_cancelled_too) {
    bool was_cancelled = false;
    auto late = [&]() -> coro<> {
        try {
            co_await sleep(1h);
        } catch (const tercet::cancelled_error&) {
            was_cancelled = true;
        }
    };
    auto main = [&]() -> coro<> {
        current_task().add_done_callback([&] { create_task(late()); });
        co_return;
    };
    run(main());
    EXPECT_TRUE(was_cancelled);
}

TEST(task, a_task_that_is_made_during_the_clean_up_is_cancelled_too) {
    bool second_was_cancelled = false;
    auto second = [&]() -> coro<> {
        try {
            co_await sleep(1h);
        } catch (const tercet::cancelled_error&) {
            second_was_cancelled = true;
        }
    };
    auto first = [&]() -> coro<> {
        try {
            co_await sleep(1h);
        } catch (const tercet::cancelled_error&) {
            create_task(second());
        }
    };
    auto main = [&]() -> coro<> {
        create_task(first());
        co_await sleep(0s);
    };
    run(main());
    EXPECT_TRUE(second_was_cancelled);
}

TEST(task, very_many_may_wait_for_one) {
    const auto begin = std::chrono::steady_clock::now();
    auto main = []() -> coro<> {
        event go;
        auto wait = [&]() -> coro<> { co_await go.wait(); };
        auto after = [](task<> before) -> coro<> { co_await before; };
        const task<> one = create_task(wait());
        std::vector<task<>> waiting;
        for (int i = 0; i < 200'000; ++i) waiting.push_back(create_task(after(one)));
        co_await sleep(0s);
        go.set();
        for (const task<>& each : waiting) co_await each;
    };
    run(main());
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
}
