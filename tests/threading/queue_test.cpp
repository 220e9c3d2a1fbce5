#include <tercet/threading/lifo_queue.hpp>
#include <tercet/threading/priority_queue.hpp>
#include <tercet/threading/queue.hpp>
#include <tercet/threading/simple_queue.hpp>

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <functional>
#include <latch>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;
using namespace tercet;
using tercet::threading::lifo_queue;
using tercet::threading::priority_queue;
using tercet::threading::queue;
using tercet::threading::simple_queue;

struct fifo {
    template <class T>
    using of = queue<T>;
};
struct lifo {
    template <class T>
    using of = lifo_queue<T>;
};
struct by_priority {
    template <class T>
    using of = priority_queue<T>;
};

template <class Kind>
class queues : public testing::Test {};
using kinds = testing::Types<fifo, lifo, by_priority>;
TYPED_TEST_SUITE(queues, kinds, );

template <class Kind, class T = int>
using made = typename Kind::template of<T>;

TYPED_TEST(queues, have_a_bound_unless_they_are_asked_not_to) {
    static_assert(!std::is_default_constructible_v<made<TypeParam>>);
    EXPECT_THROW(made<TypeParam>(0), std::invalid_argument);
    auto endless = made<TypeParam>::unbounded();
    for (int i = 0; i < 5'000; ++i) endless.put_nowait(i);
    EXPECT_EQ(endless.qsize(), 5'000U);
    EXPECT_FALSE(endless.full());
}

TYPED_TEST(queues, a_negative_time_limit_is_refused) {
    made<TypeParam> items(1);
    EXPECT_THROW(items.put(1, -1s), std::invalid_argument);
    EXPECT_THROW(items.get(-1s), std::invalid_argument);
    EXPECT_THROW(items.join(-1s), std::invalid_argument);
    EXPECT_TRUE(items.empty());
}

TYPED_TEST(queues, put_into_a_full_one_and_get_from_an_empty_one_give_up_at_their_limit) {
    made<TypeParam> items(1);
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
    EXPECT_EQ(items.get(), 1);
    EXPECT_TRUE(items.try_put(3));
    EXPECT_EQ(items.try_get(), 3);
}

TYPED_TEST(queues, more_task_done_than_items_is_a_mistake) {
    made<TypeParam> items(4);
    EXPECT_THROW(items.task_done(), std::invalid_argument);
    items.put(1);
    items.task_done();
    EXPECT_THROW(items.task_done(), std::invalid_argument);
}

TYPED_TEST(queues, join_returns_when_all_are_done_and_may_be_used_again) {
    made<TypeParam> items(4);
    EXPECT_TRUE(items.join());
    for (int round = 0; round < 3; ++round) {
        std::atomic<int> done{0};
        std::jthread worker([&] {
            for (int i = 0; i < 50; ++i) {
                items.get();
                ++done;
                items.task_done();
            }
        });
        for (int i = 0; i < 50; ++i) items.put(i);
        EXPECT_TRUE(items.join());
        EXPECT_EQ(done, 50);
    }
    items.put(1);
    EXPECT_FALSE(items.join(5ms));
    EXPECT_FALSE(items.join(0s));
    items.get();
    EXPECT_FALSE(items.join(0s));
    items.task_done();
    EXPECT_TRUE(items.join(0s));
}

TYPED_TEST(queues, shutdown_lets_getters_have_what_is_there_and_refuses_puts_at_once) {
    made<TypeParam> items(4);
    items.put(1);
    items.put(2);
    items.shutdown();
    EXPECT_TRUE(items.is_shutdown());
    EXPECT_THROW(items.put(3), queue_shutdown);
    EXPECT_THROW(items.put_nowait(3), queue_shutdown);
    EXPECT_FALSE(items.try_put(3));
    EXPECT_EQ(items.get() + items.get(), 3);
    EXPECT_THROW(items.get(), queue_shutdown);
    EXPECT_THROW(items.get_nowait(), queue_shutdown);
    EXPECT_EQ(items.try_get(), std::nullopt);
    items.task_done();
    items.task_done();
    EXPECT_TRUE(items.join(0s));
}

TYPED_TEST(queues, shutdown_wakes_all_who_wait) {
    for (int round = 0; round < 50; ++round) {
        made<TypeParam> empty(1);
        made<TypeParam> full(1);
        full.put(0);
        std::vector<std::jthread> threads;
        for (int t = 0; t < 3; ++t) {
            threads.emplace_back([&] { EXPECT_THROW(empty.get(), queue_shutdown); });
            threads.emplace_back([&] { EXPECT_THROW(full.put(1), queue_shutdown); });
        }
        if (round % 2 == 0) std::this_thread::yield();
        empty.shutdown();
        full.shutdown();
    }
}

TYPED_TEST(queues, an_immediate_shutdown_destroys_what_is_there_and_counts_it_as_done) {
    made<TypeParam, std::shared_ptr<int>> items(4);
    const auto kept = std::make_shared<int>(1);
    items.put(kept);
    items.put(kept);
    std::jthread joiner([&] { EXPECT_TRUE(items.join()); });
    items.shutdown(true);
    EXPECT_EQ(kept.use_count(), 1);
    EXPECT_THROW(items.get(), queue_shutdown);
    EXPECT_TRUE(items.empty());
}

TYPED_TEST(queues, shutdown_may_become_immediate_and_stays_so) {
    made<TypeParam> items(4);
    items.put(1);
    items.shutdown();
    items.shutdown(true);
    EXPECT_THROW(items.get(), queue_shutdown);
    items.shutdown(false);
    EXPECT_THROW(items.get(), queue_shutdown);
    EXPECT_TRUE(items.join(0s));
}

TYPED_TEST(queues, a_taken_item_leaves_no_reference_behind) {
    made<TypeParam, std::shared_ptr<int>> items(4);
    auto item = std::make_shared<int>(1);
    const std::weak_ptr<int> watch = item;
    items.put(std::move(item));
    items.get();
    EXPECT_TRUE(watch.expired());
    items.put(std::make_shared<int>(2));
}

TYPED_TEST(queues, items_may_be_move_only_and_stay_with_the_caller_when_there_is_no_room) {
    made<TypeParam, std::unique_ptr<int>> items(1);
    items.put(std::make_unique<int>(1));
    auto second = std::make_unique<int>(2);
    EXPECT_FALSE(items.try_put(std::move(second)));
    EXPECT_THROW(items.put(std::move(second), 1ms), queue_full);
    ASSERT_TRUE(second);
    EXPECT_EQ(*items.get(), 1);
    items.put(std::move(second));
    EXPECT_EQ(**items.try_get(), 2);
}

TYPED_TEST(queues, a_maxsize_lowered_below_the_size_makes_it_full_and_one_raised_makes_room) {
    made<TypeParam> items(4);
    for (int i = 0; i < 4; ++i) items.put(i);
    items.set_maxsize(2);
    EXPECT_EQ(items.maxsize(), 2U);
    EXPECT_TRUE(items.full());
    items.get();
    items.get();
    EXPECT_TRUE(items.full());
    EXPECT_THROW(items.put_nowait(9), queue_full);
    std::jthread waits([&] { items.put(9); });
    items.set_maxsize(3);
    waits.join();
    EXPECT_EQ(items.qsize(), 3U);
    EXPECT_THROW(items.set_maxsize(0), std::invalid_argument);
}

/// Throws when told to, in the `fuse`-th copy or move from now.
struct touchy {
    static inline int fuse = 0;
    int value = 0;

    touchy(int v) : value(v) {}  // NOLINT(google-explicit-constructor)
    touchy(const touchy& other) : value(other.value) { burn(); }
    touchy(touchy&& other) : value(other.value) { burn(); }
    touchy& operator=(const touchy&) = default;
    static void burn() {
        if (fuse > 0 && --fuse == 0) throw std::runtime_error("touched");
    }
    bool operator<(const touchy& other) const {
        burn();
        return value < other.value;
    }
};

TYPED_TEST(queues, an_item_that_throws_on_its_way_leaves_the_queue_consistent) {
    made<TypeParam, touchy> items(600);
    int next = 0;
    int sum = 0;
    int expected = 0;
    for (int round = 0; round < 600; ++round) {
        const touchy item(next++);
        touchy::fuse = 1 + round % 3;
        try {
            items.put(item);
            expected += item.value;
        } catch (const std::runtime_error&) {
        }
        touchy::fuse = 1 + round % 2;
        try {
            if (round % 4 == 0) sum += items.get_nowait().value;
        } catch (const std::runtime_error&) {  // touched, or nothing there
        }
        touchy::fuse = 0;
    }
    while (!items.empty()) {
        const touchy got = items.get();
        sum += got.value;
    }
    EXPECT_EQ(sum, expected);
    items.put(1);
    EXPECT_EQ(items.get().value, 1);
}

TYPED_TEST(queues, each_put_lets_another_one_of_those_who_wait_have_an_item) {
    for (int round = 0; round < 30; ++round) {
        made<TypeParam> items(1);
        std::atomic<int> thrown{0};
        std::atomic<int> got{0};
        {
            std::vector<std::jthread> getters;
            for (int t = 0; t < 3; ++t)
                getters.emplace_back([&] {
                    try {
                        items.get();
                        ++got;
                    } catch (const queue_shutdown&) {
                        ++thrown;
                    }
                });
            for (int i = 0; i < 2; ++i) items.put(i);
            while (got != 2) std::this_thread::yield();
            items.shutdown();
        }
        EXPECT_EQ(got, 2);
        EXPECT_EQ(thrown, 1);
    }
}

/// Feeds `producers` times `count` items through `items` to `consumers`, and checks that each came once.
template <class Queue>
void feed_and_count(Queue& items, int producers, int consumers, int count, bool in_order) {
    std::vector<std::atomic<int>> seen(static_cast<std::size_t>(producers * count));
    {
        std::vector<std::jthread> eaters;
        for (int c = 0; c < consumers; ++c)
            eaters.emplace_back([&] {
                std::vector<int> last(static_cast<std::size_t>(producers), -1);
                for (int item = items.get(); item >= 0; item = items.get()) {
                    ++seen[static_cast<std::size_t>(item)];
                    const auto producer = static_cast<std::size_t>(item / count);
                    if (in_order) {
                        EXPECT_LT(last[producer], item);
                    }
                    last[producer] = item;
                }
            });
        std::vector<std::jthread> feeders;
        for (int p = 0; p < producers; ++p)
            feeders.emplace_back([&, p] {
                for (int i = 0; i < count; ++i) items.put(p * count + i);
            });
        feeders.clear();
        while (!items.empty()) std::this_thread::yield();
        for (int c = 0; c < consumers; ++c) items.put(-1);  // poison pills
    }
    for (const auto& each : seen) EXPECT_EQ(each, 1);
    EXPECT_TRUE(items.empty());
}

TEST(queue, many_feeders_and_eaters_lose_nothing_and_keep_each_feeders_order) {
    for (const std::size_t maxsize : {1U, 2U, 7U, 1000U})
        for (const auto& [producers, consumers] : {std::pair{1, 1}, {1, 3}, {3, 1}, {4, 4}}) {
            queue<int> items(maxsize);
            feed_and_count(items, producers, consumers, maxsize == 1 ? 300 : 2'000, true);
        }
}

TEST(simple_queue, many_feeders_and_eaters_lose_nothing_and_keep_each_feeders_order) {
    simple_queue<int> items;
    feed_and_count(items, 4, 4, 5'000, true);
    EXPECT_EQ(items.try_get(), std::nullopt);
    EXPECT_THROW(items.get(1ms), queue_empty);
    EXPECT_THROW(items.get_nowait(), queue_empty);
    EXPECT_THROW(items.get(-1s), std::invalid_argument);
    items.put_nowait(7);
    EXPECT_EQ(items.qsize(), 1U);
    EXPECT_EQ(items.get(), 7);
}

TEST(lifo_queue, many_feeders_and_eaters_lose_nothing) {
    for (const std::size_t maxsize : {1U, 2U, 100U}) {
        lifo_queue<int> items(maxsize);
        feed_and_count(items, 3, 3, 500, false);
    }
}

TEST(lifo_queue, gives_the_youngest_first) {
    lifo_queue<int> items(3);
    for (int i : {1, 2, 3}) items.put(i);
    for (int i : {3, 2, 1}) EXPECT_EQ(items.get(), i);
}

TEST(priority_queue, gives_the_smallest_first_and_equal_ones_in_the_order_in_which_they_came) {
    using job = std::pair<int, int>;
    struct by_first {
        bool operator()(const job& a, const job& b) const { return a.first < b.first; }
    };
    priority_queue<job, by_first> items(1'000);
    unsigned random = 1;
    for (int i = 0; i < 1'000; ++i)
        items.put({static_cast<int>((random = random * 1103515245U + 12345U) >> 16U) % 10, i});
    job last{-1, -1};
    for (int i = 0; i < 1'000; ++i) {
        const job next = items.get();
        EXPECT_LT(last, next);
        last = next;
    }
    priority_queue<int, std::greater<>> largest(3);
    for (int i : {1, 3, 2}) largest.put(i);
    EXPECT_EQ(largest.get(), 3);
}

TEST(queue, may_be_destroyed_as_soon_as_its_last_item_was_taken) {
    for (int i = 0; i < 3'000; ++i) {
        std::optional<queue<int>> reply(std::in_place, 1);
        std::jthread giver([&] { reply->put(i); });
        EXPECT_EQ(reply->get(), i);
        reply.reset();
    }
}

TEST(queue, what_was_not_taken_is_destroyed_with_it) {
    const auto kept = std::make_shared<int>(1);
    {
        queue<std::shared_ptr<int>> items(1'000);
        for (int i = 0; i < 700; ++i) items.put(kept);
        for (int i = 0; i < 300; ++i) items.get();
    }
    EXPECT_EQ(kept.use_count(), 1);
}

TEST(queue, a_wait_that_gives_up_in_the_moment_of_a_put_loses_no_item) {
    queue<int> items(2);
    int got = 0;
    constexpr int count = 3'000;
    std::jthread feeder([&] {
        for (int i = 0; i < count; ++i) items.put(i);
    });
    for (int i = 0; got < count; ++i) try {
            EXPECT_EQ(items.get(std::chrono::microseconds(i % 40)), got);
            ++got;
        } catch (const queue_empty&) {
        }
}

TEST(queue, shutdown_while_threads_put_and_get_gives_out_exactly_what_was_put) {
    for (int round = 0; round < 100; ++round) {
        queue<int> items(3);
        std::atomic<long> put{0};
        std::atomic<long> got{0};
        std::latch started(1);
        std::atomic<bool> is_counted{false};
        std::vector<std::jthread> threads;
        for (int t = 0; t < 2; ++t) {
            threads.emplace_back([&] {
                try {
                    for (int i = 1;; ++i) {
                        items.put(i);
                        put += i;
                        if (i == 20)
                            if (!is_counted.exchange(true)) started.count_down();
                    }
                } catch (const queue_shutdown&) {
                }
            });
            threads.emplace_back([&] {
                try {
                    for (;;) got += items.get();
                } catch (const queue_shutdown&) {
                }
            });
            if (t == 0) started.wait();
        }
        items.shutdown();
        threads.clear();
        EXPECT_EQ(put, got);
        EXPECT_TRUE(items.empty());
    }
}

std::chrono::microseconds cpu_time_of_process() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return std::chrono::seconds(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           std::chrono::microseconds(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

TEST(queue, who_waits_for_long_uses_no_cpu) {
    queue<int> items(1);
    const auto before = cpu_time_of_process();
    EXPECT_THROW(items.get(300ms), queue_empty);
    EXPECT_LT(cpu_time_of_process() - before, 100ms);
}

}  // namespace
