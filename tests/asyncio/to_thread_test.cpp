#include <tercet/asyncio.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <memory>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "asyncio/unread_errors.hpp"

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using tercet::cancelled_error;
using testing::HasSubstr;
using testing::IsEmpty;

namespace {

const context_var<std::string> user("user", "nobody");

coro<bool> ends_cancelled(task<> awaited) {
    try {
        co_await awaited;
    } catch (const cancelled_error&) {
        co_return true;
    }
    co_return false;
}

}  // namespace

TEST(to_thread, gives_the_result_of_a_call_on_another_thread) {
    auto main = []() -> coro<> {
        const auto here = std::this_thread::get_id();
        const auto there = co_await to_thread(&std::this_thread::get_id);
        EXPECT_NE(there, here);
        EXPECT_EQ(std::this_thread::get_id(), here);
        auto add = [](int a, std::unique_ptr<int> b) { return a + *b; };
        const int sum = co_await to_thread(add, 1, std::make_unique<int>(2));
        EXPECT_EQ(sum, 3);
        bool was_called = false;
        auto set = [&was_called] { was_called = true; };
        co_await to_thread(set);
        EXPECT_TRUE(was_called);
    };
    run(main());
}

TEST(to_thread, throws_what_the_call_throws) {
    auto main = []() -> coro<> {
        auto fail = []() -> int { throw std::runtime_error("disk"); };
        co_await to_thread(fail);
    };
    EXPECT_THROW(run(main()), std::runtime_error);
}

TEST(to_thread, the_call_sees_the_context_of_the_task_and_its_changes_stay_there) {
    auto main = []() -> coro<> {
        user.set("ada");
        auto look = [] {
            const std::string seen = user.get();
            user.set("thread");
            return seen;
        };
        const std::string first = co_await to_thread(look);
        EXPECT_EQ(first, "ada");
        EXPECT_EQ(user.get(), "ada");
        context().run([] { user.set("other"); });
        auto without = [&]() -> coro<std::string> { co_return co_await to_thread(look); };
        const context empty;
        const std::string second = co_await create_task(without(), {.context = &empty});
        EXPECT_EQ(second, "nobody");
    };
    run(main());
}

TEST(to_thread, the_loop_goes_on_and_calls_run_side_by_side) {
    auto main = []() -> coro<> {
        std::latch both(2);
        auto meet = [&both] { both.arrive_and_wait(); };
        auto first = to_thread(meet);
        auto second = to_thread(meet);
        co_await gather(std::move(first), std::move(second));
    };
    run(main());
}

TEST(to_thread, cancelled_it_waits_for_the_call_and_delivers_its_result) {
    std::latch begun(1);
    std::latch gate(1);
    int value = 0;
    bool is_cancelled_after = false;
    auto main = [&]() -> coro<> {
        auto work = [&]() -> coro<> {
            auto call = [&] {
                begun.count_down();
                gate.wait();
                return 5;
            };
            value = co_await to_thread(call);
            try {
                co_await sleep(0s);
            } catch (const cancelled_error&) {
                is_cancelled_after = true;
            }
        };
        const task<> waiting = create_task(work());
        co_await sleep(0s);
        begun.wait();
        waiting.cancel();
        for (int i = 0; i < 10; ++i) co_await sleep(0s);
        EXPECT_FALSE(waiting.done());
        gate.count_down();
        co_await waiting;
    };
    run(main());
    EXPECT_EQ(value, 5);
    EXPECT_TRUE(is_cancelled_after);
}

TEST(to_thread, a_call_can_see_that_it_is_cancelled) {
    auto main = []() -> coro<bool> {
        std::latch begun(1);
        auto poll = [&begun](std::stop_token stop, int) {
            begun.count_down();
            while (!stop.stop_requested()) std::this_thread::yield();
            throw cancelled_error("the call stopped");
        };
        auto work = [&]() -> coro<> { co_await to_thread(poll, 1); };
        const task<> waiting = create_task(work());
        co_await sleep(0s);
        begun.wait();
        waiting.cancel();
        co_return co_await ends_cancelled(waiting);
    };
    EXPECT_TRUE(run(main()));
}

TEST(to_thread, in_a_task_that_is_cancelled_already_the_call_does_not_begin) {
    std::atomic<bool> has_run = false;
    auto main = [&]() -> coro<> {
        auto call = [&has_run] { has_run = true; };
        auto joins = [&]() -> coro<> { co_await to_thread(call); };
        auto abandons = [&]() -> coro<> { co_await to_thread({.abandon_on_cancel = true}, call); };
        const task<> first = create_task(joins());
        const task<> second = create_task(abandons());
        first.cancel();
        second.cancel();
        const bool is_first_cancelled = co_await ends_cancelled(first);
        const bool is_second_cancelled = co_await ends_cancelled(second);
        EXPECT_TRUE(is_first_cancelled);
        EXPECT_TRUE(is_second_cancelled);
    };
    run(main());  // waits for the threads
    EXPECT_FALSE(has_run);
}

TEST(to_thread, an_abandoned_call_ends_with_the_loop_and_without_noise) {
    const unread_errors unread;
    std::latch begun(1);
    std::latch gate(1);
    std::atomic<bool> has_ended = false;
    std::thread opener;
    auto main = [&]() -> coro<> {
        auto call = [&] {
            begun.count_down();
            gate.wait();
            has_ended = true;
            throw std::runtime_error("too late");
        };
        auto work = [&]() -> coro<> { co_await to_thread({.abandon_on_cancel = true}, call); };
        const task<> waiting = create_task(work());
        co_await sleep(0s);
        begun.wait();
        waiting.cancel();
        const bool is_cancelled = co_await ends_cancelled(waiting);
        EXPECT_TRUE(is_cancelled);
        EXPECT_FALSE(has_ended);
        opener = std::thread([&] { gate.count_down(); });
    };
    run(main());
    EXPECT_TRUE(has_ended);
    opener.join();
    EXPECT_THAT(unread.texts(), IsEmpty());
}

TEST(to_thread, more_calls_than_threads_take_their_turn) {
    auto main = []() -> coro<int> {
        std::atomic<int> sum = 0;
        std::vector<coro<>> calls;
        auto add = [&sum](int value) { sum += value; };
        for (int i = 0; i < 200; ++i) calls.push_back(to_thread(add, 1));
        co_await gather(std::move(calls));
        co_return sum.load();
    };
    EXPECT_EQ(run(main()), 200);
}

// from_thread

TEST(from_thread, leads_a_call_of_to_thread_back_into_its_loop_with_a_result) {
    auto main = []() -> coro<> {
        const auto here = std::this_thread::get_id();
        auto call = [here] {
            EXPECT_EQ(from_thread::run_sync([](int a) { return a + 1; }, 1), 2);
            EXPECT_EQ(from_thread::run_sync([] { return std::this_thread::get_id(); }), here);
            auto wait = []() -> coro<std::string> {
                co_await sleep(1ms);
                co_return current_task().name();
            };
            EXPECT_THAT(from_thread::run(wait()), HasSubstr("task"));
            auto fails = []() -> coro<> {
                throw std::runtime_error("in the loop");
                co_return;
            };
            EXPECT_THROW(from_thread::run(fails()), std::runtime_error);
            EXPECT_THROW(from_thread::run_sync([] { throw std::logic_error("too"); }), std::logic_error);
        };
        co_await to_thread(call);
    };
    run(main());
}

TEST(from_thread, of_a_stranger_needs_the_loop) {
    auto nothing = []() -> coro<int> { co_return 3; };
    EXPECT_THROW(from_thread::run(nothing()), tercet::invalid_state_error);
    auto main = [&]() -> coro<> {
        event_loop& loop = get_running_loop();
        event done;
        std::thread other([&] {
            EXPECT_EQ(from_thread::run(loop, nothing()), 3);
            EXPECT_EQ(from_thread::run_sync(loop, [] { return 4; }), 4);
            loop.call_soon_threadsafe([&] { done.set(); });
        });
        co_await done.wait();
        other.join();
    };
    run(main());
}

TEST(from_thread, on_the_thread_of_a_loop_says_what_to_write) {
    auto main = []() -> coro<> {
        auto nothing = []() -> coro<> { co_return; };
        try {
            from_thread::run(get_running_loop(), nothing());
            ADD_FAILURE();
        } catch (const tercet::invalid_state_error& error) {
            EXPECT_THAT(error.what(), HasSubstr("co_await"));
        }
        co_return;
    };
    run(main());
}

TEST(from_thread, a_call_that_the_loop_does_not_reach_before_its_end_is_cancelled) {
    std::latch begun(1);
    std::latch gate(1);
    std::atomic<bool> was_refused = false;
    auto main = [&]() -> coro<> {
        auto call = [&] {
            begun.count_down();
            gate.wait();
            for (;;) {
                try {
                    from_thread::run_sync([] {});
                } catch (const cancelled_error&) {
                } catch (const tercet::invalid_state_error&) {
                    break;
                }
            }
            was_refused = true;
        };
        auto work = [&]() -> coro<> { co_await to_thread({.abandon_on_cancel = true}, call); };
        create_task(work());
        co_await sleep(0s);
        begun.wait();
        gate.count_down();
    };
    run(main());
    EXPECT_TRUE(was_refused);
}

// Blocking on the loop's own thread.

TEST(blocking, for_a_result_on_the_loops_thread_is_an_error_that_says_what_to_write) {
    auto main = []() -> coro<> {
        tercet::promise<int> source;
        tercet::future<int> result = source.get_future();
        try {
            static_cast<void>(result.result());
            ADD_FAILURE();
        } catch (const tercet::invalid_state_error& error) {
            EXPECT_THAT(error.what(), HasSubstr("co_await"));
        }
        EXPECT_FALSE(result.wait(0s));
        source.set_result(1);
        EXPECT_EQ(result.result(), 1);
        auto blocks = [] {
            tercet::promise<int> other;
            tercet::future<int> late = other.get_future();
            std::thread producer([&] { other.set_result(2); });
            const int value = late.result();
            producer.join();
            return value;
        };
        const int value = co_await to_thread(blocks);
        EXPECT_EQ(value, 2);
    };
    run(main());
}
