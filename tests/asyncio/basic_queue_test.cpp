// What the three queues have in common; the order of each has a test of its own.

#include <tercet/asyncio.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using tercet::cancelled_error;
using tercet::queue_empty;
using tercet::queue_full;
using tercet::queue_shutdown;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

namespace {

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

coro<> turns(int count) {
    for (int i = 0; i < count; ++i) co_await sleep(0s);
}

/// Gets once, and notes the item, -1 for the end of the queue.
template <class Queue>
coro<> get_and_note(Queue& items, std::vector<int>& got) {
    try {
        const int item = co_await items.get();
        got.push_back(item);
    } catch (const queue_shutdown&) {
        got.push_back(-1);
    }
}

/// Puts, and notes the item when it is in, its negative when the queue was shut down.
template <class Queue>
coro<> put_and_note(Queue& items, int item, std::vector<int>& put) {
    try {
        co_await items.put(item);
        put.push_back(item);
    } catch (const queue_shutdown&) {
        put.push_back(-item);
    }
}

}  // namespace

TYPED_TEST(queues, have_a_bound_unless_they_are_asked_not_to) {
    static_assert(!std::is_default_constructible_v<made<TypeParam>>);
    EXPECT_THROW(made<TypeParam>(0), std::invalid_argument);
    auto endless = made<TypeParam>::unbounded();
    for (int i = 0; i < 5'000; ++i) endless.put_nowait(i);
    EXPECT_EQ(endless.qsize(), 5'000U);
    EXPECT_FALSE(endless.full());
}

TYPED_TEST(queues, refuse_what_would_have_to_wait_when_they_are_asked_not_to) {
    made<TypeParam> items(1);
    EXPECT_TRUE(items.empty());
    EXPECT_EQ(items.maxsize(), 1U);
    EXPECT_THROW(items.get_nowait(), queue_empty);
    EXPECT_EQ(items.try_get(), std::nullopt);
    items.put_nowait(1);
    EXPECT_TRUE(items.full());
    EXPECT_EQ(items.qsize(), 1U);
    EXPECT_THROW(items.put_nowait(2), queue_full);
    EXPECT_FALSE(items.try_put(2));
    EXPECT_EQ(items.get_nowait(), 1);
    EXPECT_TRUE(items.try_put(3));
    EXPECT_EQ(items.try_get(), 3);
}

TYPED_TEST(queues, leave_an_item_alone_that_they_do_not_take) {
    made<TypeParam, std::unique_ptr<int>> items(1);
    items.put_nowait(std::make_unique<int>(1));
    auto kept = std::make_unique<int>(2);
    EXPECT_FALSE(items.try_put(std::move(kept)));
    ASSERT_TRUE(kept);
    EXPECT_THROW(items.put_nowait(std::move(kept)), queue_full);
    ASSERT_TRUE(kept);
    items.shutdown();
    EXPECT_THROW(items.put_nowait(std::move(kept)), queue_shutdown);
    ASSERT_TRUE(kept);
    EXPECT_EQ(*kept, 2);
}

TYPED_TEST(queues, a_full_one_makes_who_puts_wait_and_lets_in_one_for_each_who_gets_in_order) {
    auto main = []() -> coro<> {
        made<TypeParam> items(1);
        std::vector<int> put;
        for (int i = 1; i <= 4; ++i) create_task(put_and_note(items, i, put));
        co_await turns(3);
        EXPECT_THAT(put, ElementsAre(1));
        const int first = co_await items.get();
        EXPECT_EQ(first, 1);
        EXPECT_TRUE(items.full());  // with the item of the next, who has not run yet
        EXPECT_THAT(put, ElementsAre(1));
        EXPECT_FALSE(items.try_put(9));
        co_await turns(1);
        EXPECT_THAT(put, ElementsAre(1, 2));
        for (int i = 2; i <= 4; ++i) {
            const int item = co_await items.get();
            EXPECT_EQ(item, i);
        }
        co_await turns(1);
        EXPECT_THAT(put, ElementsAre(1, 2, 3, 4));
        EXPECT_TRUE(items.empty());
    };
    run(main());
}

TYPED_TEST(queues, an_item_put_while_tasks_wait_goes_to_the_first_and_nobody_can_steal_it) {
    auto main = []() -> coro<> {
        made<TypeParam> items(5);
        std::vector<int> first;
        std::vector<int> second;
        create_task(get_and_note(items, first));
        create_task(get_and_note(items, second));
        co_await turns(1);
        items.put_nowait(1);
        EXPECT_EQ(items.try_get(), std::nullopt);
        items.put_nowait(2);
        items.put_nowait(3);
        EXPECT_EQ(items.try_get(), 3);
        co_await turns(1);
        EXPECT_THAT(first, ElementsAre(1));
        EXPECT_THAT(second, ElementsAre(2));
    };
    run(main());
}

TYPED_TEST(queues, one_who_is_cancelled_as_an_item_arrives_does_not_lose_it) {
    auto main = []() -> coro<> {
        made<TypeParam> items(5);
        std::vector<int> first;
        std::vector<int> second;
        task<> cancelled = create_task(get_and_note(items, first));
        task<> other = create_task(get_and_note(items, second));
        co_await turns(1);
        cancelled.cancel();
        items.put_nowait(1);
        co_await other;
        EXPECT_THAT(first, IsEmpty());
        EXPECT_THAT(second, ElementsAre(1));
        task<> delivered = create_task(get_and_note(items, first));
        co_await turns(1);
        items.put_nowait(2);
        delivered.cancel();
        co_await delivered;
        EXPECT_THAT(first, ElementsAre(2));
        EXPECT_TRUE(items.empty());
    };
    run(main());
}

TYPED_TEST(queues, one_who_is_cancelled_as_room_comes_puts_wholly_or_not_at_all) {
    auto main = []() -> coro<> {
        made<TypeParam> items(1);
        std::vector<int> put;
        items.put_nowait(0);
        task<> cancelled = create_task(put_and_note(items, 1, put));
        task<> other = create_task(put_and_note(items, 2, put));
        co_await turns(1);
        cancelled.cancel();
        EXPECT_EQ(items.get_nowait(), 0);
        co_await other;
        EXPECT_THAT(put, ElementsAre(2));
        task<> accepted = create_task(put_and_note(items, 3, put));
        co_await turns(1);
        EXPECT_EQ(items.get_nowait(), 2);
        accepted.cancel();
        co_await accepted;
        EXPECT_THAT(put, ElementsAre(2, 3));
        EXPECT_EQ(items.get_nowait(), 3);
    };
    run(main());
}

TYPED_TEST(queues, many_readers_that_are_cancelled_leave_all_items_to_the_last) {
    auto main = []() -> coro<> {
        made<TypeParam> items(5);
        std::vector<int> got;
        std::vector<task<>> readers;
        for (int i = 0; i < 4; ++i) readers.push_back(create_task(get_and_note(items, got)));
        co_await turns(1);
        items.put_nowait(1);
        for (int i = 1; i < 3; ++i) readers[static_cast<std::size_t>(i)].cancel();
        items.put_nowait(2);
        co_await readers[3];
        EXPECT_THAT(got, UnorderedElementsAre(1, 2));
    };
    run(main());
}

TYPED_TEST(queues, join_ends_exactly_when_every_item_is_done_and_may_be_used_again) {
    auto main = []() -> coro<> {
        made<TypeParam> items(4);
        co_await items.join();
        EXPECT_THROW(items.task_done(), std::invalid_argument);
        for (int round = 0; round < 2; ++round) {
            co_await items.put(1);
            co_await items.put(2);
            bool has_joined = false;
            auto wait = [&]() -> coro<> {
                co_await items.join();
                has_joined = true;
            };
            task<> joiner = create_task(wait());
            task<> second = create_task(wait());
            co_await turns(1);
            for (int i = 0; i < 2; ++i) {
                EXPECT_FALSE(has_joined);
                const int item = co_await items.get();
                EXPECT_GT(item, 0);
                co_await turns(2);
                EXPECT_FALSE(has_joined);
                items.task_done();
            }
            co_await joiner;
            co_await second;
            EXPECT_THROW(items.task_done(), std::invalid_argument);
        }
    };
    run(main());
}

TYPED_TEST(queues, an_item_handed_from_task_to_task_counts_for_join_like_a_stored_one) {
    auto main = []() -> coro<> {
        made<TypeParam> items(1);
        std::vector<int> got;
        task<> getting = create_task(get_and_note(items, got));
        co_await turns(1);
        items.put_nowait(1);  // handed over
        items.put_nowait(2);  // stored
        std::vector<int> put;
        task<> putting = create_task(put_and_note(items, 3, put));  // waits, and is let in
        co_await turns(1);
        EXPECT_EQ(items.get_nowait(), 2);
        EXPECT_EQ(items.get_nowait(), 3);
        for (int i = 0; i < 3; ++i) items.task_done();
        EXPECT_THROW(items.task_done(), std::invalid_argument);
        co_await items.join();
        co_await getting;
        co_await putting;
    };
    run(main());
}

TYPED_TEST(queues, after_shutdown_give_what_they_have_and_then_the_end) {
    auto main = []() -> coro<> {
        made<TypeParam> items(4);
        items.put_nowait(1);
        items.put_nowait(2);
        EXPECT_FALSE(items.is_shutdown());
        items.shutdown();
        EXPECT_TRUE(items.is_shutdown());
        EXPECT_THROW(items.put_nowait(3), queue_shutdown);
        EXPECT_FALSE(items.try_put(3));
        std::vector<int> put;
        co_await put_and_note(items, 3, put);
        EXPECT_THAT(put, ElementsAre(-3));
        std::vector<int> got;
        for (int i = 0; i < 3; ++i) co_await get_and_note(items, got);
        EXPECT_THAT(got, UnorderedElementsAre(1, 2, -1));
        EXPECT_THROW(items.get_nowait(), queue_shutdown);
        EXPECT_EQ(items.try_get(), std::nullopt);
        items.task_done();
        items.task_done();
        co_await items.join();
    };
    run(main());
}

TYPED_TEST(queues, shutdown_ends_all_waits_to_put_and_to_get) {
    auto main = []() -> coro<> {
        made<TypeParam> full(1);
        made<TypeParam> empty(1);
        full.put_nowait(7);
        std::vector<int> put;
        std::vector<int> got;
        for (int i = 1; i <= 2; ++i) {
            create_task(put_and_note(full, i, put));
            create_task(get_and_note(empty, got));
        }
        co_await turns(1);
        full.shutdown();
        empty.shutdown();
        co_await turns(1);
        EXPECT_THAT(put, ElementsAre(-1, -2));
        EXPECT_THAT(got, ElementsAre(-1, -1));
        EXPECT_EQ(full.get_nowait(), 7);
    };
    run(main());
}

TYPED_TEST(queues, an_immediate_shutdown_destroys_the_items_and_counts_them_as_done) {
    auto main = []() -> coro<> {
        made<TypeParam, std::shared_ptr<int>> items(4);
        const auto item = std::make_shared<int>(1);
        for (int i = 0; i < 3; ++i) items.put_nowait(item);
        const auto taken = items.get_nowait();
        items.shutdown();
        EXPECT_EQ(item.use_count(), 4);
        items.shutdown(true);
        EXPECT_EQ(item.use_count(), 2);
        EXPECT_TRUE(items.empty());
        bool has_joined = false;
        auto wait = [&]() -> coro<> {
            co_await items.join();
            has_joined = true;
        };
        task<> joiner = create_task(wait());
        co_await turns(2);
        EXPECT_FALSE(has_joined);
        items.shutdown();  // stays immediate
        EXPECT_THROW(items.get_nowait(), queue_shutdown);
        items.task_done();
        co_await joiner;
    };
    run(main());
}

TYPED_TEST(queues, are_iterated_until_they_were_shut_down_and_are_empty) {
    auto main = []() -> coro<> {
        made<TypeParam, std::string> items(2);
        std::vector<std::string> got;
        auto consume = [&]() -> coro<> {
            while (auto item = co_await items.next()) {
                got.push_back(*item);
                items.task_done();
            }
        };
        task<> first = create_task(consume());
        task<> second = create_task(consume());
        for (int i = 1; i <= 9; ++i)
            co_await items.put("a text that is longer than a short string " + std::to_string(i));
        items.shutdown();
        co_await first;
        co_await second;
        EXPECT_EQ(got.size(), 9U);
        co_await items.join();
    };
    run(main());
}

TYPED_TEST(queues, a_bound_that_shrinks_keeps_the_items_and_one_that_grows_lets_in_who_waits) {
    auto main = []() -> coro<> {
        made<TypeParam> items(3);
        for (int i = 1; i <= 3; ++i) items.put_nowait(i);
        items.set_maxsize(1);
        EXPECT_TRUE(items.full());
        EXPECT_EQ(items.qsize(), 3U);
        EXPECT_THROW(items.set_maxsize(0), std::invalid_argument);
        std::vector<int> put;
        for (int i = 4; i <= 6; ++i) create_task(put_and_note(items, i, put));
        co_await turns(1);
        items.get_nowait();
        items.get_nowait();
        co_await turns(1);
        EXPECT_THAT(put, IsEmpty());
        EXPECT_EQ(items.qsize(), 1U);
        items.set_maxsize(3);
        EXPECT_TRUE(items.full());
        co_await turns(1);
        EXPECT_THAT(put, ElementsAre(4, 5));
    };
    run(main());
}

TYPED_TEST(queues, keep_nothing_of_an_item_that_was_taken) {
    auto main = []() -> coro<> {
        made<TypeParam, std::shared_ptr<int>> items(2);
        const auto item = std::make_shared<int>(1);
        co_await items.put(item);
        {
            const auto taken = co_await items.get();
            EXPECT_EQ(item.use_count(), 2);
        }
        EXPECT_EQ(item.use_count(), 1);
        std::shared_ptr<int> handed;
        auto get = [&]() -> coro<> { handed = co_await items.get(); };
        task<> getter = create_task(get());
        co_await turns(1);
        co_await items.put(item);
        co_await getter;
        EXPECT_EQ(item.use_count(), 2);
        handed.reset();
        EXPECT_EQ(item.use_count(), 1);
    };
    run(main());
}

TYPED_TEST(queues, what_was_not_taken_is_destroyed_with_them) {
    const auto item = std::make_shared<int>(1);
    {
        made<TypeParam, std::shared_ptr<int>> items(100);
        for (int i = 0; i < 70; ++i) items.put_nowait(item);
        for (int i = 0; i < 30; ++i) items.get_nowait();
        for (int i = 0; i < 30; ++i) items.put_nowait(item);
        EXPECT_EQ(item.use_count(), 71);
    }
    EXPECT_EQ(item.use_count(), 1);
}

TYPED_TEST(queues, many_feeders_and_eaters_lose_nothing_and_double_nothing) {
    for (const std::size_t maxsize : {1U, 2U, 7U, 100U}) {
        std::vector<int> seen(600);
        auto main = [&]() -> coro<> {
            made<TypeParam> items(maxsize);
            auto feed = [&](int from) -> coro<> {
                for (int i = from; i < from + 200; ++i) {
                    co_await items.put(i);
                    if (i % 7 == 0) co_await sleep(0s);
                }
            };
            auto eat = [&]() -> coro<> {
                while (auto item = co_await items.next()) {
                    ++seen[static_cast<std::size_t>(*item)];
                    if (*item % 5 == 0) co_await sleep(0s);
                    items.task_done();
                }
            };
            std::vector<task<>> eaters;
            for (int i = 0; i < 4; ++i) eaters.push_back(create_task(eat()));
            co_await gather(feed(0), feed(200), feed(400));
            co_await items.join();
            items.shutdown();
            for (const task<>& each : eaters) co_await each;
        };
        run(main());
        for (const int count : seen) EXPECT_EQ(count, 1);
    }
}

TYPED_TEST(queues, cancellations_at_random_lose_nothing_and_double_nothing) {
    auto main = []() -> coro<> {
        for (unsigned round = 1; round <= 20; ++round) {
            made<TypeParam> items(2);
            std::vector<int> put;
            std::vector<int> got;
            auto feed = [&](int from) -> coro<> {
                for (int i = from; i < from + 50; ++i) {
                    co_await items.put(i);
                    put.push_back(i);
                }
            };
            auto eat = [&]() -> coro<> {
                for (;;) {
                    const int item = co_await items.get();
                    got.push_back(item);
                }
            };
            std::vector<task<>> workers;
            for (int i = 0; i < 4; ++i) workers.push_back(create_task(feed(1000 * i)));
            for (int i = 0; i < 4; ++i) workers.push_back(create_task(eat()));
            unsigned random = round;
            for (int i = 0; i < 6; ++i) {
                random = random * 1103515245U + 12345U;
                co_await turns(static_cast<int>(random >> 16U) % 20);
                workers[(random >> 20U) % 8].cancel();
            }
            co_await turns(200);
            for (const task<>& each : workers) each.cancel();
            co_await turns(2);
            while (auto item = items.try_get()) got.push_back(*item);
            EXPECT_THAT(got, testing::UnorderedElementsAreArray(put));
        }
    };
    run(main());
}

TYPED_TEST(queues, take_items_that_can_only_be_moved_that_are_copied_and_that_are_made_inside) {
    struct pair {
        std::string text;
        int number = 0;
        bool operator<(const pair& other) const { return number < other.number; }
    };
    auto main = []() -> coro<> {
        made<TypeParam, std::unique_ptr<int>> owned(1);
        co_await owned.put(std::make_unique<int>(5));
        const std::unique_ptr<int> five = co_await owned.get();
        EXPECT_EQ(*five, 5);
        made<TypeParam, pair> pairs(2);
        pair named{"short", 1};
        co_await pairs.put(named);
        const pair copied = co_await pairs.get();
        EXPECT_EQ(copied.text, "short");
        EXPECT_EQ(named.text, "short");
        named.text = "a text that is longer than a short string";
        co_await pairs.put(std::move(named));
        const pair moved = co_await pairs.get();
        EXPECT_EQ(moved.text, "a text that is longer than a short string");
        co_await pairs.emplace("another text that is longer than a short string", 3);
        const pair made_inside = co_await pairs.get();
        EXPECT_EQ(made_inside.text, "another text that is longer than a short string");
        EXPECT_EQ(made_inside.number, 3);
    };
    run(main());
}
