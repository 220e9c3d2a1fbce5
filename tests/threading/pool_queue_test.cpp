// The bound of a pool's queue, and what happens at it.

#include <tercet/futures/wait.hpp>
#include <tercet/threading/thread_pool_executor.hpp>

#include <gtest/gtest.h>
#include <sanitizers.hpp>

#include <algorithm>
#include <atomic>
#include <functional>
#include <latch>
#include <stdexcept>
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
using tercet::threading::when_full;

/// A pool of one thread that stands behind a door, with one call in its queue, which is full.
struct full_pool {
    full_pool() {
        pool.post([this] {
            is_inside.count_down();
            door.pass();
        });
        is_inside.wait();
        pool.post([] {});
    }
    gate door;
    std::latch is_inside{1};
    thread_pool_executor pool{{.max_workers = 1, .queue_size = 1}};
};

TEST(pool_queue, blocks_the_caller_until_there_is_room) {
    constexpr int bound = 3;
    std::atomic<int> submitted{0};
    std::atomic<int> started{0};
    std::atomic<int> most_ahead{0};
    thread_pool_executor pool({.max_workers = 1, .queue_size = bound});
    for (int i = 0; i < 2000; ++i) {
        static_cast<void>(pool.submit([&] {
            for (int look = 0; look < 50; ++look) {  // a caller that is not held back runs ahead meanwhile
                const int ahead = submitted - started;
                if (ahead > most_ahead) most_ahead = ahead;
            }
            ++started;
        }));
        ++submitted;
    }
    pool.shutdown();
    EXPECT_EQ(started, 2000);
    EXPECT_LE(most_ahead, bound + 1);  // the one that runs has left the queue
}

TEST(pool_queue, its_own_thread_runs_a_call_at_once_while_the_queue_is_full) {
    thread_pool_executor pool({.max_workers = 1, .queue_size = 1});
    auto result = pool.submit([&] {
        auto queued = pool.submit([] { return 1; });
        auto at_once = pool.submit([] { return 2; });
        return at_once.done() && !queued.done();
    });
    EXPECT_TRUE(result.result());
}

TEST(pool_queue, can_refuse_when_it_is_full) {
    gate door;
    std::latch is_inside(1);
    thread_pool_executor pool({.max_workers = 1, .queue_size = 1, .when_full = when_full::fail});
    auto running = pool.submit([&] {
        is_inside.count_down();
        door.pass();
    });
    is_inside.wait();
    auto queued = pool.submit([] {});
    EXPECT_THROW(pool.submit([] {}), queue_full);
    door.open();
    queued.result();
    EXPECT_NO_THROW(pool.submit([] {}).result());
}

TEST(pool_queue, can_make_the_caller_run_when_it_is_full) {
    gate door;
    std::latch is_inside(1);
    thread_pool_executor pool({.max_workers = 1, .queue_size = 1, .when_full = when_full::caller_runs});
    auto running = pool.submit([&] {
        is_inside.count_down();
        door.pass();
    });
    is_inside.wait();
    auto queued = pool.submit([] {});
    EXPECT_EQ(pool.submit([] { return std::this_thread::get_id(); }).result(), std::this_thread::get_id());
    door.open();
}

TEST(pool_queue, a_million_submits_never_hold_more_than_the_bound) {
    constexpr int bound = 1000;
    constexpr int threads = 2;
    constexpr int calls = is_under_address_sanitizer || is_under_thread_sanitizer ? 100'000 : 1'000'000;
    std::atomic<int> submitted{0};
    std::atomic<int> started{0};
    int most_ahead = 0;
    thread_pool_executor pool({.max_workers = threads, .queue_size = bound});
    for (int i = 0; i < calls; ++i) {
        pool.post([&] {
            ++started;
            if (started % 4 == 0 && submitted < calls) pool.post([&] { ++started; }), ++submitted;  // from inside, too
        });
        const int now = ++submitted;  // before the look at what has started, so that this is not too many
        most_ahead = std::max(most_ahead, now - started);
        if (i % 1024 == 0) {
            ASSERT_LE(pool.statistics().queued, static_cast<std::size_t>(bound));
        }
    }
    pool.shutdown();
    EXPECT_EQ(started, submitted);
    EXPECT_LE(most_ahead, bound + threads);  // each thread may have taken one that it has not begun
}

TEST(pool_queue, holds_exactly_as_many_calls_as_it_says) {
    for (const std::size_t bound : {1U, 7U, 1000U, 3000U}) {
        gate door;
        std::latch both(2);
        thread_pool_executor pool({.max_workers = 2, .queue_size = bound, .when_full = when_full::fail});
        const auto blocked = [&] {
            both.count_down();
            door.pass();
        };
        pool.post(blocked);
        while (pool.statistics().queued != 0) std::this_thread::yield();
        pool.post(blocked);
        both.wait();
        for (std::size_t i = 0; i < bound; ++i) ASSERT_NO_THROW(pool.post([] {})) << i << " of " << bound;
        EXPECT_THROW(pool.post([] {}), queue_full);
        EXPECT_EQ(pool.statistics().queued, bound);
        door.open();
    }
}

TEST(pool_queue, counts_what_calls_have_submitted) {
    constexpr std::size_t bound = 4;
    std::latch all_are_in(4);
    std::latch all_have_posted(4);
    thread_pool_executor pool({.max_workers = 4, .queue_size = bound});
    gate door;
    std::vector<future<void>> all;
    for (int i = 0; i < 4; ++i)
        all.push_back(pool.submit([&] {
            all_are_in.arrive_and_wait();
            for (int k = 0; k < 4; ++k) pool.post([] {});
            all_have_posted.count_down();
            door.pass();
        }));
    all_have_posted.wait();
    EXPECT_EQ(pool.statistics().queued, bound);
    door.open();
    wait(all);
}

TEST(pool_queue, cannot_be_without_any_room) {
    EXPECT_THROW(thread_pool_executor({.max_workers = 1, .queue_size = 0}), std::invalid_argument);
}

TEST(pool_queue, a_call_that_posts_itself_while_it_is_full_does_not_pile_up_on_the_stack) {
    constexpr int times = 1'000'000;
    thread_pool_executor pool({.max_workers = 1, .queue_size = 1});
    int done = 0;
    std::latch all_are_done(1);
    std::function<void()> again = [&] {
        if (++done < times)
            pool.post(std::ref(again));
        else
            all_are_done.count_down();
    };
    pool.post([&] {
        pool.post([] {});  // which nobody can take before this call is over
        again();
    });
    all_are_done.wait();
}

TEST(pool_queue, takes_what_a_call_submits_and_its_deque_cannot_hold) {
    thread_pool_executor pool(1);
    auto parent = pool.submit([&] {
        bool is_submitting = true;
        int began_in_submit = 0;
        std::vector<future<void>> all;
        for (int i = 0; i < 1000; ++i) all.push_back(pool.submit([&] { began_in_submit += is_submitting ? 1 : 0; }));
        is_submitting = false;
        wait(all);
        return began_in_submit;
    });
    EXPECT_EQ(parent.result(), 0);
}

TEST(pool_queue, shutdown_wakes_a_caller_that_waits_for_room) {
    full_pool full;
    std::atomic<int> thread{0};
    std::atomic<bool> was_refused{false};
    std::thread caller([&] {
        thread = get_native_id();
        try {
            full.pool.post([] {});
        } catch (const executor_shutdown&) {
            was_refused = true;
        }
    });
    while (thread == 0) std::this_thread::yield();
    await_sleep_of(thread);
    full.pool.shutdown({.wait = false});
    caller.join();
    EXPECT_TRUE(was_refused);
    full.door.open();
}

TEST(pool_queue, callers_that_wait_for_room_come_in_their_order) {
    full_pool full;
    std::vector<int> order;
    std::vector<std::thread> callers;
    for (int i = 0; i < 5; ++i) {
        std::atomic<int> thread{0};
        callers.emplace_back([&full, &order, &thread, i] {
            thread = get_native_id();
            full.pool.post([&order, i] { order.push_back(i); });
        });
        while (thread == 0) std::this_thread::yield();
        await_sleep_of(thread);
    }
    full.door.open();
    for (auto& each : callers) each.join();
    full.pool.shutdown();
    EXPECT_EQ(order, (std::vector{0, 1, 2, 3, 4}));
}

TEST(pool_queue, a_deadline_ends_the_wait_for_room) {
    full_pool full;
    bool has_run = false;
    auto late = full.pool.submit({.deadline = 5ms}, [&] { has_run = true; });
    EXPECT_THROW(late.result(), timeout_error);
    full.door.open();
    full.pool.shutdown();
    EXPECT_FALSE(has_run);
}

TEST(pool_queue, a_thread_of_another_pool_does_calls_of_that_one_while_it_waits_for_room) {
    full_pool full;
    thread_pool_executor outer(1);
    std::atomic<int> thread{0};
    auto waiting = outer.submit([&] {
        thread = get_native_id();
        full.pool.post([] {});
    });
    while (thread == 0) std::this_thread::yield();
    await_sleep_of(thread);
    outer.post([&] { full.door.open(); });
    waiting.result();
}

}  // namespace
