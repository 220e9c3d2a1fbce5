#include <tercet/asyncio.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using tercet::cancelled_error;
using tercet::invalid_state_error;
using tercet::queue_empty;
using tercet::queue_full;
using tercet::queue_shutdown;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

coro<> turns(int count) {
    for (int i = 0; i < count; ++i) co_await sleep(0s);
}

/// Lets threads run until `is_true()`.
template <class Predicate>
void wait_until(Predicate is_true) {
    while (!is_true()) std::this_thread::yield();
}

}  // namespace

TEST(thread_queue, has_a_bound_unless_it_is_asked_not_to) {
    static_assert(!std::is_default_constructible_v<thread_queue<int>>);
    EXPECT_THROW(thread_queue<int>(0), std::invalid_argument);
    auto endless = thread_queue<int>::unbounded();
    for (int i = 0; i < 5'000; ++i) endless.put_nowait(i);
    EXPECT_EQ(endless.qsize(), 5'000U);
    EXPECT_FALSE(endless.full());
    for (int i = 0; i < 5'000; ++i) EXPECT_EQ(endless.get(), i);
}

TEST(thread_queue, gives_up_at_the_time_limit_and_refuses_a_negative_one) {
    thread_queue<int> items(1);
    auto begin = std::chrono::steady_clock::now();
    EXPECT_THROW(items.get(10ms), queue_empty);
    EXPECT_GE(std::chrono::steady_clock::now() - begin, 10ms);
    EXPECT_THROW(items.get_nowait(), queue_empty);
    EXPECT_EQ(items.try_get(), std::nullopt);
    items.put(1);
    EXPECT_TRUE(items.full());
    begin = std::chrono::steady_clock::now();
    EXPECT_THROW(items.put(2, 10ms), queue_full);
    EXPECT_GE(std::chrono::steady_clock::now() - begin, 10ms);
    EXPECT_THROW(items.put_nowait(2), queue_full);
    EXPECT_FALSE(items.try_put(2));
    EXPECT_THROW(items.put(2, -1s), std::invalid_argument);
    EXPECT_THROW(items.get(-1s), std::invalid_argument);
    EXPECT_EQ(items.get(), 1);
    EXPECT_TRUE(items.empty());
}

TEST(thread_queue, leaves_an_item_alone_that_it_does_not_take) {
    thread_queue<std::unique_ptr<int>> items(1);
    items.put(std::make_unique<int>(1));
    auto kept = std::make_unique<int>(2);
    EXPECT_THROW(items.put(std::move(kept), 1ms), queue_full);
    EXPECT_FALSE(items.try_put(std::move(kept)));
    items.shutdown();
    EXPECT_THROW(items.put(std::move(kept)), queue_shutdown);
    ASSERT_TRUE(kept);
    EXPECT_EQ(*kept, 2);
}

TEST(thread_queue, a_thread_feeds_a_task_that_iterates_until_the_shutdown) {
    for (const std::size_t maxsize : {1U, 3U, 1000U}) {
        thread_queue<std::string> items(maxsize);
        std::thread feeder([&] {
            for (int i = 0; i < 500; ++i) items.put("a text that is longer than a short string " + std::to_string(i));
            items.shutdown();
        });
        auto main = [&]() -> coro<int> {
            int count = 0;
            while (auto item = co_await items.next_async()) {
                EXPECT_EQ(*item, "a text that is longer than a short string " + std::to_string(count));
                ++count;
            }
            co_return count;
        };
        EXPECT_EQ(run(main()), 500);
        feeder.join();
    }
}

TEST(thread_queue, a_task_feeds_a_thread_and_waits_for_room) {
    thread_queue<int> items(2);
    std::vector<int> got;
    std::thread eater([&] {
        try {
            for (;;) got.push_back(items.get());
        } catch (const queue_shutdown&) {
        }
    });
    auto main = [&]() -> coro<> {
        for (int i = 0; i < 500; ++i) co_await items.put_async(i);
        items.shutdown();
    };
    run(main());
    eater.join();
    ASSERT_EQ(got.size(), 500U);
    for (int i = 0; i < 500; ++i) EXPECT_EQ(got[static_cast<std::size_t>(i)], i);
}

TEST(thread_queue, tasks_and_threads_stand_in_one_line) {
    thread_queue<int> items(1);
    std::atomic<int> by_thread{0};
    auto main = [&]() -> coro<> {
        std::vector<int> by_task;
        auto get = [&]() -> coro<> {
            const int item = co_await items.get_async();
            by_task.push_back(item);
        };
        task<> first = create_task(get());
        co_await turns(1);
        items.put_nowait(1);
        EXPECT_EQ(items.try_get(), std::nullopt);  // it belongs to the one who waits
        items.put_nowait(2);
        EXPECT_FALSE(items.try_put(3));
        co_await first;
        EXPECT_THAT(by_task, ElementsAre(1));
        std::thread other([&] { by_thread = items.get(); });
        other.join();
        EXPECT_EQ(by_thread, 2);
    };
    run(main());
}

TEST(thread_queue, blocking_on_the_thread_of_a_loop_is_an_error_that_says_what_to_write) {
    auto main = []() -> coro<> {
        thread_queue<int> items(1);
        std::string text;
        try {
            items.put(1);
        } catch (const invalid_state_error& error) {
            text = error.what();
        }
        EXPECT_THAT(text, HasSubstr("co_await put_async"));
        EXPECT_THROW(items.get(1s), invalid_state_error);
        items.put_nowait(1);
        EXPECT_EQ(items.get_nowait(), 1);
        co_return;
    };
    run(main());
}

TEST(thread_queue, shutdown_ends_the_waits_of_threads_and_of_tasks) {
    thread_queue<int> full(1);
    thread_queue<int> empty(1);
    full.put(7);
    std::atomic<int> refused{0};
    auto refuse = [&](auto wait) {
        try {
            wait();
        } catch (const queue_shutdown&) {
            ++refused;
        }
    };
    std::vector<std::thread> threads;
    threads.emplace_back([&] { refuse([&] { full.put(1); }); });
    threads.emplace_back([&] { refuse([&] { empty.get(); }); });
    auto main = [&]() -> coro<> {
        auto put = [&]() -> coro<> {
            try {
                co_await full.put_async(2);
            } catch (const queue_shutdown&) {
                ++refused;
            }
        };
        auto get = [&]() -> coro<> {
            try {
                co_await empty.get_async();
            } catch (const queue_shutdown&) {
                ++refused;
            }
        };
        auto next = [&]() -> coro<> {
            const auto item = co_await empty.next_async();
            if (!item) ++refused;
        };
        task<> putter = create_task(put());
        task<> getter = create_task(get());
        task<> iterator = create_task(next());
        co_await turns(1);
        full.shutdown();
        empty.shutdown();
        co_await putter;
        co_await getter;
        co_await iterator;
        co_await put();
        co_await get();
        co_await next();
    };
    run(main());
    for (std::thread& each : threads) each.join();
    EXPECT_EQ(refused, 8);
    EXPECT_TRUE(full.is_shutdown());
    EXPECT_EQ(full.get(), 7);
    EXPECT_THROW(full.get(), queue_shutdown);
    EXPECT_THROW(full.put_nowait(1), queue_shutdown);
}

TEST(thread_queue, an_immediate_shutdown_destroys_the_items) {
    thread_queue<std::shared_ptr<int>> items(3);
    const auto item = std::make_shared<int>(1);
    items.put(item);
    items.put(item);
    items.shutdown();
    EXPECT_EQ(item.use_count(), 3);
    items.shutdown(true);
    EXPECT_EQ(item.use_count(), 1);
    EXPECT_THROW(items.get_nowait(), queue_shutdown);
}

TEST(thread_queue, cancellation_races_with_an_item_from_a_thread_and_one_of_both_is_seen) {
    auto main = []() -> coro<> {
        int delivered = 0;
        int cancelled = 0;
        for (int i = 0; i < 300; ++i) {
            thread_queue<int> items(1);
            auto wait = [&]() -> coro<int> { co_return co_await items.get_async(); };
            task<int> waiting = create_task(wait());
            co_await turns(1);
            std::thread feeder([&items] { items.put(1); });
            if (i % 2 == 0) std::this_thread::yield();
            waiting.cancel();
            bool was_delivered = true;
            try {
                const int item = co_await waiting;
                delivered += item;
            } catch (const cancelled_error&) {
                was_delivered = false;
                ++cancelled;
            }
            feeder.join();
            EXPECT_EQ(items.qsize(), was_delivered ? 0U : 1U);
        }
        EXPECT_EQ(delivered + cancelled, 300);
    };
    run(main());
}

TEST(thread_queue, a_time_limit_of_a_thread_races_with_an_item_and_loses_none) {
    thread_queue<int> items(2);
    constexpr int count = 2'000;
    std::thread eater([&] {
        int got = 0;
        for (int i = 0; got < count; ++i) try {
                EXPECT_EQ(items.get(std::chrono::microseconds(i % 40 + 1)), got);
                ++got;
            } catch (const queue_empty&) {
            }
    });
    auto main = [&]() -> coro<> {
        for (int i = 0; i < count; ++i) co_await items.put_async(i);
    };
    run(main());
    eater.join();
}

TEST(thread_queue, many_threads_and_tasks_of_two_loops_lose_nothing_and_double_nothing) {
    constexpr int count = 300;
    for (const std::size_t maxsize : {1U, 5U}) {
        thread_queue<int> items(maxsize);
        std::vector<std::atomic<int>> seen(6 * count);
        std::latch eaters_ended(4);
        auto note = [&](int item) { ++seen[static_cast<std::size_t>(item)]; };
        auto feed_async = [&](int from) -> coro<> {
            for (int i = from; i < from + count; ++i) co_await items.put_async(i);
        };
        auto eat_async = [&]() -> coro<> {
            while (auto item = co_await items.next_async()) note(*item);
            eaters_ended.count_down();
        };
        std::vector<std::thread> feeders;
        std::vector<std::thread> others;
        for (int loop = 0; loop < 2; ++loop) {
            feeders.emplace_back([&, loop] {
                auto both = [&]() -> coro<> {
                    co_await gather(feed_async(loop * 2 * count), feed_async((loop * 2 + 1) * count));
                };
                run(both());
            });
            others.emplace_back([&] { run(eat_async()); });
            feeders.emplace_back([&, loop] {
                for (int i = (4 + loop) * count; i < (5 + loop) * count; ++i) items.put(i);
            });
            others.emplace_back([&] {
                try {
                    for (;;) note(items.get());
                } catch (const queue_shutdown&) {
                }
                eaters_ended.count_down();
            });
        }
        for (std::thread& each : feeders) each.join();
        items.shutdown();
        eaters_ended.wait();
        for (std::thread& each : others) each.join();
        for (const auto& times : seen) EXPECT_EQ(times, 1);
    }
}

TEST(thread_queue, a_thread_that_waits_for_room_is_let_in_when_a_task_takes_an_item) {
    thread_queue<int> items(1);
    items.put(1);
    std::atomic<bool> is_about_to_put{false};
    std::thread feeder([&] {
        is_about_to_put = true;
        items.put(2);
        items.put(3);
        items.shutdown();
    });
    wait_until([&] { return is_about_to_put.load(); });
    auto main = [&]() -> coro<> {
        std::vector<int> got;
        while (auto item = co_await items.next_async()) got.push_back(*item);
        EXPECT_THAT(got, ElementsAre(1, 2, 3));
    };
    run(main());
    feeder.join();
}

TEST(thread_queue, an_immediate_shutdown_ends_join_though_items_were_called_done_too_early) {
    thread_queue<int> of_threads(3);
    of_threads.put(1);
    of_threads.put(2);
    of_threads.task_done();
    of_threads.shutdown(true);
    EXPECT_TRUE(of_threads.join(0s));
    auto main = []() -> coro<> {
        queue<int> of_tasks(3);
        co_await of_tasks.put(1);
        co_await of_tasks.put(2);
        of_tasks.task_done();
        of_tasks.shutdown(true);
        auto join = [&]() -> coro<> { co_await of_tasks.join(); };
        co_await timeout(1s, join());
    };
    run(main());
}

TEST(thread_queue, join_waits_in_threads_and_tasks_until_every_item_is_done) {
    thread_queue<int> items(10);
    EXPECT_TRUE(items.join(0s)) << "nothing was put";
    items.put(1);
    items.put(2);
    EXPECT_FALSE(items.join(0s));
    EXPECT_FALSE(items.join(5ms));
    EXPECT_EQ(items.get(), 1);
    items.task_done();
    EXPECT_FALSE(items.join(0s)) << "one is not done";
    std::atomic<bool> has_thread_joined = false;
    bool has_task_joined = false;
    auto main = [&]() -> coro<> {
        std::thread joins([&] { has_thread_joined = items.join(); });
        auto join = [&]() -> coro<> {
            co_await items.join_async();
            has_task_joined = true;
        };
        task<> joining = create_task(join());
        co_await turns(3);
        EXPECT_FALSE(has_task_joined);
        EXPECT_FALSE(has_thread_joined);
        const int last = co_await items.get_async();
        EXPECT_EQ(last, 2);
        EXPECT_THROW(items.join(), invalid_state_error);
        items.task_done();
        co_await joining;
        joins.join();
    };
    run(main());
    EXPECT_TRUE(has_task_joined);
    EXPECT_TRUE(has_thread_joined);
    EXPECT_THROW(items.task_done(), std::invalid_argument);
}

TEST(thread_queue, items_that_go_from_hand_to_hand_and_those_that_waited_for_room_are_to_be_done_too) {
    thread_queue<int> items(1);
    auto main = [&]() -> coro<> {
        auto get = [&]() -> coro<int> { co_return co_await items.get_async(); };
        task<int> getting = create_task(get());
        co_await turns(2);
        items.put_nowait(1);
        co_await getting;
        EXPECT_FALSE(items.join(0s));
        items.task_done();
        EXPECT_TRUE(items.join(0s));

        items.put_nowait(2);
        auto put = [&]() -> coro<> { co_await items.put_async(3); };
        task<> putting = create_task(put());
        co_await turns(2);
        EXPECT_EQ(items.get_nowait(), 2);
        co_await putting;
        items.task_done();
        EXPECT_FALSE(items.join(0s)) << "the third has come in";
        EXPECT_EQ(items.get_nowait(), 3);
        items.task_done();
        EXPECT_TRUE(items.join(0s));
    };
    run(main());
}

TEST(thread_queue, what_an_immediate_shutdown_destroys_counts_as_done_and_a_cancelled_join_leaves) {
    thread_queue<int> items(10);
    auto main = [&]() -> coro<> {
        items.put_nowait(1);
        items.put_nowait(2);
        auto join = [&]() -> coro<> { co_await items.join_async(); };
        task<> cancelled = create_task(join());
        task<> joining = create_task(join());
        co_await turns(2);
        cancelled.cancel();
        co_await turns(2);
        EXPECT_TRUE(cancelled.cancelled());
        EXPECT_EQ(items.get_nowait(), 1);
        items.shutdown(true);
        co_await turns(2);
        EXPECT_FALSE(joining.done()) << "the one that was taken is not done";
        items.task_done();
        co_await joining;
    };
    run(main());
}
