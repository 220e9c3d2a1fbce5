// The end of a pool: shutdown, destruction, and what goes on meanwhile.

#include <tercet/futures/wait.hpp>
#include <tercet/threading/thread.hpp>
#include <tercet/threading/thread_pool_executor.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <ctime>
#include <latch>
#include <memory>
#include <thread>
#include <vector>

#include "gate.hpp"

namespace {

using namespace std::chrono_literals;
using namespace tercet;
using tercet::threading::await_sleep_of;
using tercet::threading::gate;
using tercet::threading::get_native_id;
using tercet::threading::thread_pool_executor;

TEST(pool_shutdown, waits_for_all_work_and_refuses_more) {
    std::atomic<int> ran{0};
    thread_pool_executor pool(2);
    std::vector<future<void>> all;
    for (int i = 0; i < 100; ++i) all.push_back(pool.submit([&] { ++ran; }));
    pool.shutdown();
    EXPECT_EQ(ran, 100);
    EXPECT_EQ(pool.workers(), 0U);
    EXPECT_THROW(pool.submit([] {}), executor_shutdown);
    pool.shutdown();
}

TEST(pool_shutdown, can_cancel_what_is_queued_and_lets_the_running_end) {
    gate door;
    std::latch is_inside(1);
    thread_pool_executor pool(1);
    auto running = pool.submit([&] {
        is_inside.count_down();
        door.pass();
        return 1;
    });
    auto queued = pool.submit([] { return 2; });
    is_inside.wait();
    pool.shutdown({.wait = false, .cancel_futures = true});
    EXPECT_THROW(queued.result(), cancelled_error);
    EXPECT_FALSE(running.done());
    door.open();
    EXPECT_EQ(running.result(), 1);
}

TEST(pool_shutdown, without_waiting_still_does_the_queued_work) {
    gate door;
    thread_pool_executor pool(1);
    auto first = pool.submit([&] { door.pass(); });
    auto second = pool.submit([] { return 2; });
    pool.shutdown({.wait = false});
    door.open();
    EXPECT_EQ(second.result(), 2);
}

TEST(pool_shutdown, two_threads_may_shut_it_down_at_once) {
    for (int round = 0; round < 200; ++round) {
        thread_pool_executor pool(2);
        auto work = pool.submit([] { return 1; });
        std::thread other([&] { pool.shutdown(); });
        pool.shutdown();
        EXPECT_EQ(pool.workers(), 0U);
        other.join();
        EXPECT_EQ(work.result(), 1);
    }
}

TEST(pool_shutdown, destruction_does_the_pending_work) {
    std::atomic<int> ran{0};
    {
        thread_pool_executor pool(3);
        for (int i = 0; i < 300; ++i) static_cast<void>(pool.submit([&] { ++ran; }));
    }
    EXPECT_EQ(ran, 300);
}

TEST(pool_shutdown, its_own_thread_cannot_wait_for_its_shutdown) {
    thread_pool_executor pool(1);
    EXPECT_THROW(pool.submit([&] { pool.shutdown(); }).result(), invalid_state_error);
    EXPECT_EQ(pool.submit([] { return 1; }).result(), 1);
}

TEST(pool_shutdown, its_own_thread_may_destroy_it) {
    gate door;
    auto pool = std::make_unique<thread_pool_executor>(1);
    auto done = pool->submit([&] {
        door.pass();
        pool.reset();
        return 1;
    });
    door.open();
    EXPECT_EQ(done.result(), 1);
}

TEST(pool_shutdown, names_the_threads_that_still_work_when_its_time_is_over) {
    gate door;
    std::latch is_inside(1);
    thread_pool_executor pool({.max_workers = 2, .thread_name_prefix = "slow"});
    auto running = pool.submit([&] {
        is_inside.count_down();
        door.pass();
    });
    is_inside.wait();
    try {
        pool.shutdown({.timeout = 1ms});
        FAIL() << "the door is closed";
    } catch (const timeout_error& error) {
        EXPECT_THAT(error.what(), testing::HasSubstr("slow-0"));
    }
    door.open();
    pool.shutdown();
    EXPECT_EQ(pool.workers(), 0U);
}

TEST(pool_shutdown, threads_end_when_the_pool_was_dropped_without_it) {
    const std::size_t before = threading::active_count();
    std::latch all(3);
    {
        auto pool = std::make_unique<thread_pool_executor>(3);
        for (int i = 0; i < 3; ++i) pool->post([&] { all.arrive_and_wait(); });
        all.wait();
        auto* const dropped = pool.get();
        dropped->submit([pool = std::move(pool)] {}).result();
    }
    while (threading::active_count() != before) std::this_thread::yield();
}

TEST(pool_shutdown, a_call_that_waits_meanwhile_uses_no_cpu) {
    promise<int> late;
    auto awaited = late.get_future();
    thread_pool_executor pool(1);
    std::atomic<int> thread{0};
    std::latch is_inside(1);
    auto waiting = pool.submit([&] {
        thread = get_native_id();
        is_inside.count_down();
        return awaited.result();
    });
    is_inside.wait();
    await_sleep_of(thread);
    pool.shutdown({.wait = false});
    const auto cpu_time = [] {
        timespec spent{};
        ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
        return std::chrono::seconds(spent.tv_sec) + std::chrono::nanoseconds(spent.tv_nsec);
    };
    const auto before = cpu_time();
    EXPECT_FALSE(waiting.wait(200ms));
    EXPECT_LT(cpu_time() - before, 50ms);
    late.set_result(4);
    EXPECT_EQ(waiting.result(), 4);
}

TEST(pool_shutdown, a_call_that_waits_meanwhile_keeps_its_time_limit) {
    promise<int> never;
    auto awaited = never.get_future();
    std::latch is_inside(1);
    thread_pool_executor pool(1);
    auto waiting = pool.submit([&] {
        is_inside.count_down();
        return awaited.wait(20ms);
    });
    is_inside.wait();
    pool.shutdown();
    EXPECT_FALSE(waiting.result());
    never.set_result(0);
}

TEST(pool_shutdown, can_cancel_what_calls_have_submitted_and_what_was_taken_ahead) {
    for (int round = 0; round < 20; ++round) {
        thread_pool_executor pool(2);
        std::atomic<bool> has_begun{false};
        std::atomic<int> started_after{0};
        std::vector<future<void>> all;
        for (int i = 0; i < 5000; ++i)
            all.push_back(pool.submit([&] {
                if (has_begun) ++started_after;
            }));
        std::latch has_submitted(1);
        gate door;
        future<void> inner;
        auto running = pool.submit({.priority = 100}, [&] {
            inner = pool.submit([] {});
            has_submitted.count_down();
            door.pass();
            return 1;
        });
        has_submitted.wait();
        pool.shutdown({.wait = false, .cancel_futures = true});
        has_begun = true;
        door.open();
        EXPECT_EQ(running.result(), 1);
        pool.shutdown();
        EXPECT_LE(started_after, 2);  // a thread may just have begun
        EXPECT_TRUE(inner.done());
        EXPECT_TRUE(std::ranges::all_of(all, [](const auto& each) { return each.done(); }));
    }
}

TEST(pool_shutdown, threads_stay_for_a_running_call_that_forks) {
    thread_pool_executor pool(2);
    {
        std::latch both(2);
        auto one = pool.submit([&] { both.arrive_and_wait(); });
        auto other = pool.submit([&] { both.arrive_and_wait(); });
        one.result();
        other.result();
    }
    gate door;
    std::latch is_inside(1);
    auto running = pool.submit([&] {
        is_inside.count_down();
        door.pass();
        std::latch was_begun(1);
        auto part = pool.fork([&] { was_begun.count_down(); });
        was_begun.wait();  // no wait for a future: only another thread can do it
        part.join();
    });
    is_inside.wait();
    std::thread ending([&] { pool.shutdown(); });
    while (true) {
        try {
            pool.post([] {});
        } catch (const executor_shutdown&) {
            break;
        }
    }
    door.open();
    running.result();
    ending.join();
    EXPECT_EQ(pool.workers(), 0U);
}

TEST(pool_shutdown, what_a_thread_destroys_at_its_end_may_ask_the_pool) {
    static thread_pool_executor* asked = nullptr;
    static std::atomic<bool> has_asked{false};
    struct asking {
        ~asking() {
            static_cast<void>(asked->workers());
            static_cast<void>(asked->statistics());
            has_asked = true;
        }
    };
    thread_pool_executor pool(1);
    asked = &pool;
    pool.submit([] { static thread_local const asking at_end; }).result();
    pool.shutdown();
    EXPECT_TRUE(has_asked);
}

TEST(pool_shutdown, on_a_thread_of_another_pool_does_the_calls_of_that_one_meanwhile) {
    thread_pool_executor outer(1);
    auto ended = outer.submit([&] {
        {
            thread_pool_executor inner(1);
            inner.post([&] { outer.submit([] {}).result(); });
        }
        return true;
    });
    EXPECT_TRUE(ended.result());
}

}  // namespace
