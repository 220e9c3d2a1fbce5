#include <tercet/asyncio.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using testing::HasSubstr;

namespace {

const context_var<int> depth("depth", 0);
const context_var<std::string> user("user");

}  // namespace

TEST(context, a_variable_has_its_default_until_it_is_set_and_again_after_reset) {
    auto main = []() -> coro<> {
        EXPECT_EQ(depth.get(), 0);
        EXPECT_EQ(depth.get(9), 9);
        auto first = depth.set(1);
        auto second = depth.set(2);
        EXPECT_EQ(depth.get(), 2);
        EXPECT_EQ(depth.get(9), 2);
        depth.reset(second);
        EXPECT_EQ(depth.get(), 1);
        depth.reset(first);
        EXPECT_EQ(depth.get(), 0);
        co_return;
    };
    run(main());
}

TEST(context, a_variable_without_a_value_and_a_token_that_does_not_fit_are_errors) {
    auto main = []() -> coro<> {
        try {
            static_cast<void>(user.get());
            ADD_FAILURE();
        } catch (const tercet::invalid_state_error& error) {
            EXPECT_THAT(error.what(), HasSubstr("user"));
        }
        const context_var<int> other("other");
        auto token = depth.set(1);
        EXPECT_THROW(other.reset(token), tercet::invalid_state_error);
        auto again = depth.set(2);
        depth.reset(again);
        EXPECT_THROW(depth.reset(again), tercet::invalid_state_error);
        EXPECT_EQ(depth.get(), 1);
        co_return;
    };
    run(main());
}

TEST(context, a_task_begins_with_a_copy_and_its_changes_do_not_leak_out) {
    auto main = []() -> coro<> {
        depth.set(1);
        auto work = []() -> coro<int> {
            const int seen = depth.get();
            depth.set(10);
            co_await sleep(0s);
            co_await sleep(0s);
            EXPECT_EQ(depth.get(), 10);
            co_return seen;
        };
        const task<int> inner = create_task(work());
        depth.set(2);
        co_await sleep(0s);
        EXPECT_EQ(depth.get(), 2);
        const int seen = co_await inner;
        EXPECT_EQ(seen, 1);
        EXPECT_EQ(depth.get(), 2);
    };
    run(main());
}

TEST(context, a_coroutine_that_is_awaited_runs_in_the_context_of_its_task) {
    auto main = []() -> coro<> {
        auto inner = []() -> coro<> {
            depth.set(5);
            co_await sleep(0s);
        };
        co_await inner();
        EXPECT_EQ(depth.get(), 5);
    };
    run(main());
}

TEST(context, a_task_may_be_given_another_context) {
    auto main = []() -> coro<> {
        context other;
        other.run([] { depth.set(7); });
        EXPECT_EQ(depth.get(), 0);
        auto work = []() -> coro<int> {
            const int seen = depth.get();
            depth.set(8);
            co_return seen;
        };
        const int seen = co_await create_task(work(), {.context = &other});
        EXPECT_EQ(seen, 7);
        EXPECT_EQ(other.run([] { return depth.get(); }), 7);
        EXPECT_EQ(depth.get(), 0);
    };
    run(main());
}

TEST(context, callbacks_see_the_values_of_who_scheduled_them_and_keep_their_changes) {
    auto main = []() -> coro<> {
        event_loop& loop = get_running_loop();
        int soon = 0;
        int later = 0;
        int from_thread = 0;
        int when_done = 0;
        depth.set(1);
        event done;
        loop.call_later(1ms, [&] {
            later = depth.get();
            done.set();
        });
        loop.call_soon([&] {
            soon = depth.get();
            depth.set(99);
        });
        auto nothing = []() -> coro<> { co_return; };
        const task<> ended = create_task(nothing());
        ended.add_done_callback([&] { when_done = depth.get(); });
        std::thread([&] {
            depth.set(3);
            loop.call_soon_threadsafe([&] { from_thread = depth.get(); });
        }).join();
        depth.set(2);
        co_await done.wait();
        EXPECT_EQ(soon, 1);
        EXPECT_EQ(later, 1);
        EXPECT_EQ(from_thread, 3);
        EXPECT_EQ(when_done, 1);
        EXPECT_EQ(depth.get(), 2);
        int without = -1;
        context().run([&] { loop.call_soon([&] { without = depth.get(); }); });
        co_await sleep(0s);
        EXPECT_EQ(without, 0);
    };
    run(main());
}

TEST(context, main_begins_with_the_values_of_the_thread_and_its_changes_stay_inside) {
    const auto token = depth.set(4);
    auto main = []() -> coro<int> {
        const int seen = depth.get();
        depth.set(5);
        co_return seen;
    };
    EXPECT_EQ(run(main()), 4);
    EXPECT_EQ(depth.get(), 4);
    auto back = token;
    depth.reset(back);
    EXPECT_EQ(depth.get(), 0);
}

TEST(context, each_thread_has_values_of_its_own) {
    const context_var<int> mine("mine", 1);
    auto token = mine.set(2);
    std::thread([&] { EXPECT_EQ(mine.get(), 1); }).join();
    mine.reset(token);
}
