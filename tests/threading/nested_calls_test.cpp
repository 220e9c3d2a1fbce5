#include <tercet/futures/as_completed.hpp>
#include <tercet/futures/wait.hpp>
#include <tercet/threading/event.hpp>
#include <tercet/threading/thread_pool_executor.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <latch>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <vector>

#include "gate.hpp"

namespace {

using namespace std::chrono_literals;
using namespace tercet;
using tercet::threading::await_sleep_of;
using tercet::threading::gate;
using tercet::threading::thread_pool_executor;

int depth_by_waiting(thread_pool_executor& pool, int levels) {
    if (levels == 0) return 0;
    return 1 + pool.submit([&pool, levels] { return depth_by_waiting(pool, levels - 1); }).result();
}

TEST(nested_calls, a_call_that_waits_for_calls_of_its_pool_ends_on_a_single_thread) {
    thread_pool_executor pool(1);
    EXPECT_EQ(pool.submit([&] { return depth_by_waiting(pool, 200); }).result(), 200);
    EXPECT_EQ(pool.workers(), 1U);
}

long sum_by_halves(thread_pool_executor& pool, long begin, long end) {
    if (end - begin < 4) {
        long sum = 0;
        for (long i = begin; i < end; ++i) sum += i;
        return sum;
    }
    const long middle = begin + (end - begin) / 2;
    auto left = pool.submit([&] { return sum_by_halves(pool, begin, middle); });
    auto right = pool.submit([&] { return sum_by_halves(pool, middle, end); });
    return left.result() + right.result();
}

TEST(nested_calls, halve_and_wait_at_every_level_on_few_threads) {
    for (const std::size_t threads : {1U, 2U, 4U}) {
        thread_pool_executor pool(threads);
        EXPECT_EQ(pool.submit([&] { return sum_by_halves(pool, 0, 5000); }).result(), 5000L * 4999 / 2);
    }
}

TEST(nested_calls, wait_and_as_completed_help_too) {
    thread_pool_executor pool(1);
    auto both = pool.submit([&] {
        std::vector<future<int>> waited;
        for (int i = 0; i < 50; ++i) waited.push_back(pool.submit([i] { return i; }));
        wait(waited);
        std::vector<future<int>> completed;
        for (int i = 0; i < 50; ++i) completed.push_back(pool.submit([i] { return i; }));
        int sum = 0;
        for (auto& each : as_completed(completed)) sum += each.result();
        for (auto& each : waited) sum += each.result();
        return sum;
    });
    EXPECT_EQ(both.result(), 2 * 50 * 49 / 2);
}

TEST(nested_calls, map_inside_a_call_ends) {
    thread_pool_executor pool(2);
    auto row = [&](int n) {
        int sum = 0;
        for (auto& each : pool.map([](int i) { return i; }, std::views::iota(0, n))) sum += each;
        return sum;
    };
    auto all = pool.map(row, std::views::iota(0, 40));
    int n = 0;
    for (auto& each : all) {
        EXPECT_EQ(each, n * (n - 1) / 2);
        ++n;
    }
}

TEST(nested_calls, a_call_that_waits_for_a_promise_lets_a_call_from_outside_keep_it) {
    thread_pool_executor pool(1);
    promise<int> kept;
    auto promised = kept.get_future();
    std::latch is_waiting(1);
    auto waiting = pool.submit([&] {
        is_waiting.count_down();
        return promised.result();
    });
    is_waiting.wait();
    auto keeping = pool.submit([&] { kept.set_result(5); });
    EXPECT_EQ(waiting.result(), 5);
    keeping.result();
}

TEST(nested_calls, a_wait_with_a_limit_gives_up_although_there_is_work) {
    thread_pool_executor pool(1);
    promise<int> never;
    auto awaited = never.get_future();
    gate all_are_queued;
    int done_before = 0;
    bool has_given_up = false;
    auto waiting = pool.submit([&] {
        all_are_queued.pass();
        const bool is_there = awaited.wait(10ms);
        has_given_up = true;
        return is_there;
    });
    for (int i = 0; i < 1000; ++i)
        pool.post([&] {
            if (has_given_up) return;
            ++done_before;
            const auto end = std::chrono::steady_clock::now() + 1ms;
            while (std::chrono::steady_clock::now() < end) {
            }
        });
    all_are_queued.open();
    EXPECT_FALSE(waiting.result());
    pool.shutdown();
    EXPECT_GT(done_before, 0);
    EXPECT_LE(done_before, 11);
    never.set_result(0);
}

TEST(nested_calls, a_look_without_waiting_does_no_other_call) {
    thread_pool_executor pool(1);
    promise<int> never;
    auto awaited = never.get_future();
    gate is_queued;
    bool has_run = false;
    auto looking = pool.submit([&] {
        is_queued.pass();
        std::vector<future_base*> one{&awaited};
        wait(one, {.timeout = 0s});
        return has_run;
    });
    pool.post([&] { has_run = true; });
    is_queued.open();
    EXPECT_FALSE(looking.result());
    pool.shutdown();
    EXPECT_TRUE(has_run);
    never.set_result(0);
}

/// A call that waits for a promise, on a thread that sleeps for that reason.
struct waiting_call {
    explicit waiting_call(thread_pool_executor& pool)
        : result(pool.submit([this] {
              thread = threading::get_native_id();
              return awaited.result();
          })) {
        while (thread == 0) std::this_thread::yield();
        await_sleep_of(thread);
    }
    promise<int> late;
    future<int> awaited = late.get_future();
    std::atomic<int> thread{0};
    future<int> result;
};

TEST(nested_calls, a_call_gets_a_thread_of_its_own_rather_than_the_stack_of_one_that_waits) {
    thread_pool_executor pool(2);
    waiting_call below(pool);
    auto other = pool.submit([] { return threading::get_native_id(); });
    EXPECT_NE(other.result(), below.thread);
    below.late.set_result(1);
    EXPECT_EQ(pool.workers(), 2U);
    EXPECT_EQ(below.result.result(), 1);
}

TEST(nested_calls, a_call_may_wait_for_one_that_waits) {
    thread_pool_executor pool(2);
    waiting_call below(pool);
    auto above = pool.submit([&] { return below.result.result() + 1; });
    while (!above.running()) std::this_thread::yield();
    below.late.set_result(1);
    EXPECT_EQ(above.result(), 2);
}

TEST(nested_calls, an_idle_thread_goes_before_one_that_waits) {
    thread_pool_executor pool(2);
    {
        std::latch both(2);
        auto one = pool.submit([&] { both.arrive_and_wait(); });
        auto other = pool.submit([&] { both.arrive_and_wait(); });
        one.result();
        other.result();
    }
    waiting_call below(pool);
    for (int i = 0; i < 100; ++i)
        EXPECT_NE(pool.submit([] { return threading::get_native_id(); }).result(), below.thread);
    below.late.set_result(1);
    EXPECT_EQ(below.result.result(), 1);
}

TEST(nested_calls, a_call_that_could_only_wait_for_ever_is_told) {
    thread_pool_executor pool(1);
    waiting_call below(pool);
    auto above = pool.submit([&] { return below.result.result() + 1; });
    EXPECT_THROW(above.result(), invalid_state_error);
    below.late.set_result(1);
    EXPECT_EQ(below.result.result(), 1);
}

TEST(nested_calls, one_that_waits_for_itself_is_told) {
    thread_pool_executor pool(2);
    future<void> self;
    gate is_there;
    auto pending = pool.submit([&] {
        is_there.pass();
        EXPECT_THROW(self.result(), invalid_state_error);
    });
    self = std::move(pending);
    is_there.open();
    pool.shutdown();
    EXPECT_TRUE(self.done());
}

TEST(nested_calls, that_go_too_deep_are_told) {
    const auto before = set_unread_error_hook(nullptr);  // what nobody waits for any more goes on, and fails as well
    {
        thread_pool_executor pool(1);
        EXPECT_THROW(pool.submit([&] { return depth_by_waiting(pool, 30'000); }).result(), invalid_state_error);
        EXPECT_EQ(pool.submit([&] { return depth_by_waiting(pool, 100); }).result(), 100);
    }
    set_unread_error_hook(before);
}

bool is_even(thread_pool_executor& here, thread_pool_executor& there, int n) {
    return n == 0 || !there.submit([&, n] { return is_even(there, here, n - 1); }).result();
}

TEST(nested_calls, go_deep_between_two_pools) {
    thread_pool_executor one(1);
    thread_pool_executor other(1);
    EXPECT_TRUE(one.submit([&] { return is_even(one, other, 400); }).result());
}

int depth_of_low_priority(thread_pool_executor& pool, int levels) {
    if (levels == 0) return 0;
    return 1 +
           pool.submit({.priority = -1}, [&pool, levels] { return depth_of_low_priority(pool, levels - 1); }).result();
}

TEST(nested_calls, of_low_priority_go_deep_while_others_are_queued) {
    thread_pool_executor pool(1);
    gate all_are_queued;
    auto deep = pool.submit([&] {
        all_are_queued.pass();
        return depth_of_low_priority(pool, 200);
    });
    std::vector<future<int>> others;
    for (int i = 0; i < 300; ++i) others.push_back(pool.submit([&] { return depth_of_low_priority(pool, 1); }));
    all_are_queued.open();
    EXPECT_EQ(deep.result(), 200);
}

TEST(nested_calls, a_call_behind_one_that_blocks_is_not_kept_waiting_by_a_full_queue) {
    for (int round = 0; round < 10; ++round) {
        thread_pool_executor pool(2);
        std::atomic<bool> is_over{false};
        threading::event behind_has_run;
        gate door;
        std::latch both(2);
        for (int i = 0; i < 2; ++i)
            pool.post([&] {
                both.count_down();
                door.pass();
            });
        both.wait();
        for (int i = 0; i < 2000; ++i) pool.post([] {});  // short ones, so that several are taken at once
        auto blocked = pool.submit([&] { return behind_has_run.wait(20s); });
        auto behind = pool.submit([&] { behind_has_run.set(); });
        for (int i = 0; i < 2000; ++i) pool.post([] {});
        std::thread producer([&] {
            while (!is_over)
                if (pool.statistics().queued < 3000)
                    for (int i = 0; i < 200; ++i)
                        pool.post([] {
                            const auto end = std::chrono::steady_clock::now() + 20us;
                            while (std::chrono::steady_clock::now() < end) {
                            }
                        });
        });
        door.open();
        EXPECT_TRUE(blocked.result());
        is_over = true;
        producer.join();
    }
}

TEST(nested_calls, a_thread_of_one_pool_waits_for_another_pool) {
    thread_pool_executor outer(1);
    thread_pool_executor inner(1);
    auto there_and_back = outer.submit(
        [&] { return inner.submit([&] { return outer.submit([] { return 3; }).result() + 1; }).result() + 1; });
    EXPECT_EQ(there_and_back.result(), 5);
}

TEST(nested_calls, what_a_blocked_call_submitted_is_done_by_others) {
    thread_pool_executor pool(2);
    auto blocked = pool.submit([&] {
        std::latch was_done(1);
        static_cast<void>(pool.submit([&] { was_done.count_down(); }));
        was_done.wait();  // not a wait for a future: this thread helps nobody
        return true;
    });
    EXPECT_TRUE(blocked.result());
}

TEST(nested_calls, work_that_always_submits_more_does_not_keep_the_outside_waiting) {
    thread_pool_executor pool(1);
    std::atomic<bool> stop{false};
    std::latch is_going(1);
    std::function<void()> again = [&] {
        if (!stop) static_cast<void>(pool.submit(again));
    };
    auto first = pool.submit([&] {
        again();
        is_going.count_down();
    });
    is_going.wait();
    EXPECT_EQ(pool.submit([] { return 1; }).result(), 1);
    stop = true;
    pool.shutdown();  // before what its calls refer to goes
}

TEST(nested_calls, from_many_threads_lose_nothing) {
    thread_pool_executor pool(4);
    std::vector<std::thread> callers;
    std::atomic<long> total{0};
    for (int caller = 0; caller < 3; ++caller)
        callers.emplace_back([&] {
            for (int i = 0; i < 20; ++i) total += pool.submit([&] { return sum_by_halves(pool, 0, 200); }).result();
        });
    for (auto& each : callers) each.join();
    EXPECT_EQ(total, 3L * 20 * (200L * 199 / 2));
}

}  // namespace
