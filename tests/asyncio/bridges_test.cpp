#include <tercet/asyncio.hpp>
#include <tercet/futures/future.hpp>
#include <tercet/futures/sequential_executor.hpp>
#include <tercet/futures/shared_future.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <stdexcept>
#include <string>
#include <thread>

#include "asyncio/runs_on.hpp"
#include "asyncio/thread_executor.hpp"
#include "asyncio/unread_errors.hpp"

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using tercet::cancelled_error;
using testing::IsEmpty;

namespace {

int add(int a, int b) { return a + b; }
int fail() { throw std::runtime_error("in the pool"); }

}  // namespace

TEST(run_in_executor, gives_the_result_on_the_loops_thread) {
    thread_executor pool;
    auto main = [&]() -> coro<int> {
        const auto here = std::this_thread::get_id();
        const int sum = co_await run_in_executor(pool, &add, 1, 2);
        EXPECT_EQ(std::this_thread::get_id(), here);
        const auto there = co_await run_in_executor(pool, &std::this_thread::get_id);
        EXPECT_NE(there, here);
        co_return sum;
    };
    EXPECT_EQ(run(main()), 3);
}

TEST(shared_future, may_be_awaited_by_many_coroutines_and_a_cancelled_wait_leaves_it_to_the_others) {
    tercet::promise<int> given;
    const auto shared = given.get_future().share();
    auto add_twice = [](tercet::shared_future<int> waited) -> coro<int> {
        const int& first = co_await waited;
        const int second = co_await std::move(waited);
        co_return first + second;
    };
    auto main = [&]() -> coro<int> {
        auto cancelled = create_task(add_twice(shared));
        auto waits = create_task(add_twice(shared));
        co_await sleep(0s);
        cancelled.cancel();
        co_await sleep(0s);
        EXPECT_FALSE(shared.done());
        std::jthread producer([&] { given.set_result(4); });
        const int direct = co_await shared;
        const int sum = co_await waits;
        EXPECT_TRUE(cancelled.cancelled());
        co_return direct + sum;
    };
    EXPECT_EQ(run(main()), 12);
}

TEST(run_in_executor, throws_what_the_call_throws) {
    thread_executor pool;
    auto main = [&]() -> coro<int> { co_return co_await run_in_executor(pool, &fail); };
    EXPECT_THROW(run(main()), std::runtime_error);
}

TEST(run_in_executor, works_with_an_executor_that_is_done_at_once) {
    tercet::sequential_executor pool;
    auto main = [&]() -> coro<int> { co_return co_await run_in_executor(pool, &add, 2, 2); };
    EXPECT_EQ(run(main()), 4);
}

TEST(run_in_executor, the_loop_goes_on_meanwhile) {
    thread_executor pool;
    std::latch gate(1);
    auto main = [&]() -> coro<int> {
        auto blocked = [&] {
            gate.wait();
            return 1;
        };
        auto call = run_in_executor(pool, blocked);
        task<int> waiting = create_task(std::move(call));
        co_await sleep(1ms);
        EXPECT_FALSE(waiting.done());
        gate.count_down();
        co_return co_await std::move(waiting);
    };
    EXPECT_EQ(run(main()), 1);
}

TEST(run_in_executor, cancelled_before_it_began_the_call_never_runs) {
    thread_executor pool;
    std::latch gate(1);
    std::atomic<bool> has_run = false;
    auto main = [&]() -> coro<> {
        auto block = [&] { gate.wait(); };
        auto note = [&] { has_run = true; };
        auto first_call = run_in_executor(pool, block);
        auto second_call = run_in_executor(pool, note);
        task<> first = create_task(std::move(first_call));
        task<> second = create_task(std::move(second_call));
        co_await sleep(0s);
        second.cancel();
        try {
            co_await second;
            ADD_FAILURE();
        } catch (const cancelled_error&) {
        }
        gate.count_down();
        co_await first;
    };
    run(main());
    pool.shutdown();
    EXPECT_FALSE(has_run);
}

TEST(run_in_executor, in_a_task_that_is_cancelled_already_nothing_is_submitted) {
    tercet::sequential_executor pool;  // runs at once what is submitted
    bool has_run = false;
    auto main = [&]() -> coro<> {
        auto note = [&] { has_run = true; };
        auto call = run_in_executor(pool, note);
        task<> cancelled = create_task(std::move(call));
        cancelled.cancel();
        try {
            co_await cancelled;
            ADD_FAILURE();
        } catch (const cancelled_error&) {
        }
    };
    run(main());
    EXPECT_FALSE(has_run);
}

TEST(run_in_executor, cancelled_while_it_runs_its_result_is_dropped_without_noise_even_after_the_loop) {
    const unread_errors unread;
    thread_executor pool;
    std::latch begun(1);
    std::latch gate(1);
    auto main = [&]() -> coro<> {
        auto work = [&]() -> int {
            begun.count_down();
            gate.wait();
            throw std::runtime_error("too late");
        };
        auto call = run_in_executor(pool, work);
        task<int> running = create_task(std::move(call));
        co_await sleep(0s);
        begun.wait();
        running.cancel();
        try {
            co_await running;
            ADD_FAILURE();
        } catch (const cancelled_error&) {
        }
    };
    run(main());
    gate.count_down();
    pool.shutdown();
    EXPECT_THAT(unread.texts(), IsEmpty());
}

TEST(run_in_executor, asks_a_call_that_listens_to_stop) {
    thread_executor pool;
    auto main = [&]() -> coro<> {
        std::latch begun(1);
        auto work = [&](std::stop_token stop) {
            begun.count_down();
            while (!stop.stop_requested()) std::this_thread::yield();
        };
        auto call = run_in_executor(pool, work);
        task<> running = create_task(std::move(call));
        co_await sleep(0s);
        begun.wait();
        running.cancel();
        try {
            co_await running;
        } catch (const cancelled_error&) {
        }
        pool.shutdown();
    };
    run(main());
}

TEST(co_await_future, of_a_promise_on_another_thread_many_times) {
    auto main = []() -> coro<long> {
        long sum = 0;
        for (int i = 0; i < 500; ++i) {
            tercet::promise<int> source;
            tercet::future<int> result = source.get_future();
            std::thread producer([&source, i] { source.set_result(i); });
            const int value = co_await std::move(result);
            producer.join();
            sum += value;
        }
        co_return sum;
    };
    EXPECT_EQ(run(main()), 499 * 500 / 2);
}

TEST(co_await_future, cancellation_races_with_the_result_and_one_of_both_is_seen) {
    auto main = []() -> coro<int> {
        int delivered = 0;
        int cancelled = 0;
        for (int i = 0; i < 300; ++i) {
            tercet::promise<int> source;
            tercet::future<int> result = source.get_future();
            auto wait = [&]() -> coro<int> {
                const int& value = co_await result;
                co_return value;
            };
            task<int> waiting = create_task(wait());
            co_await sleep(0s);
            std::thread producer([&source] { source.set_result(1); });
            if (i % 2 == 0) std::this_thread::yield();
            waiting.cancel();
            try {
                const int value = co_await waiting;
                delivered += value;
            } catch (const cancelled_error&) {
                ++cancelled;
            }
            producer.join();
            EXPECT_EQ(result.result(), 1);
        }
        co_return delivered + cancelled;
    };
    EXPECT_EQ(run(main()), 300);
}

TEST(co_await_future, a_cancelled_future_throws_in_the_coroutine) {
    auto main = []() -> coro<> {
        tercet::promise<int> source;
        tercet::future<int> result = source.get_future();
        get_running_loop().call_soon([&] { result.cancel(); });
        try {
            co_await result;
            ADD_FAILURE();
        } catch (const cancelled_error&) {
        }
        co_await sleep(0s);
    };
    run(main());
}

TEST(run_coroutine_threadsafe, answers_another_thread) {
    auto answer = [](int value) -> coro<int> {
        co_await sleep(0s);
        co_return value;
    };
    auto broken = []() -> coro<> {
        throw std::runtime_error("in the loop");
        co_return;
    };
    auto main = [&]() -> coro<> {
        event_loop& loop = get_running_loop();
        event done;
        std::thread other([&] {
            EXPECT_EQ(run_coroutine_threadsafe(answer(4), loop).result(), 4);
            EXPECT_THROW(run_coroutine_threadsafe(broken(), loop).result(), std::runtime_error);
            loop.call_soon_threadsafe([&] { done.set(); });
        });
        co_await done.wait();
        other.join();
    };
    run(main());
}

TEST(run_coroutine_threadsafe, refuses_a_coroutine_that_was_moved_from) {
    auto main = []() -> coro<> {
        EXPECT_THROW(run_coroutine_threadsafe(coro<int>(), get_running_loop()), tercet::invalid_state_error);
        co_return;
    };
    run(main());
}

TEST(run_coroutine_threadsafe, cancelling_the_future_cancels_the_task) {
    if (runs_on(loop_backend::sim))
        GTEST_SKIP() << "virtual time does not wait for a thread that owes the loop nothing";
    bool was_cancelled = false;
    auto main = [&]() -> coro<> {
        event_loop& loop = get_running_loop();
        event done;
        std::latch begun(1);
        auto work = [&]() -> coro<> {
            begun.count_down();
            try {
                co_await sleep(1h);
            } catch (const cancelled_error&) {
                was_cancelled = true;
                throw;
            }
        };
        std::thread other([&] {
            tercet::future<void> result = run_coroutine_threadsafe(work(), loop);
            begun.wait();
            result.cancel();
            EXPECT_THROW(result.result(), cancelled_error);
            loop.call_soon_threadsafe([&] { done.set(); });
        });
        co_await done.wait();
        other.join();
    };
    run(main());
    EXPECT_TRUE(was_cancelled);
}

TEST(run_coroutine_threadsafe, a_coroutine_that_the_loop_cancels_at_its_end_cancels_the_future) {
    tercet::future<void> result;
    auto work = []() -> coro<> { co_await sleep(1h); };
    auto main = [&]() -> coro<> {
        result = run_coroutine_threadsafe(work(), get_running_loop());
        co_await sleep(0s);
    };
    run(main());
    EXPECT_THROW(result.result(), cancelled_error);
}
