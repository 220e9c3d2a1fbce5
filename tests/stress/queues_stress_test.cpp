#include <tercet/futures/errors.hpp>
#include <tercet/threading/lifo_queue.hpp>
#include <tercet/threading/priority_queue.hpp>
#include <tercet/threading/queue.hpp>
#include <tercet/threading/simple_queue.hpp>

#include <gtest/gtest.h>
#include <stress/stress_run.hpp>

#include <atomic>
#include <chrono>
#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using namespace tercet;
using namespace tercet::threading;

/// The number says who put it and when; the text makes it an item that owns memory.
struct item {
    std::uint64_t producer = 0;
    std::uint64_t number = 0;
    std::string text;
    auto operator<=>(const item&) const = default;
};
item make_item(std::uint64_t producer, std::uint64_t number) {
    return {producer, number, "item " + std::to_string(number) + " of a producer that has many of them"};
}

template <class Queue>
class queues_under_stress : public testing::Test {};
using all_queues = testing::Types<queue<item>, lifo_queue<item>, priority_queue<item>>;
TYPED_TEST_SUITE(queues_under_stress, all_queues, );

template <class Queue, class Choices>
void put(Queue& items, item given, Choices& choices) {
    for (;;) {
        switch (up_to(3, choices)) {
            case 0:
                if (items.try_put(given)) return;
                break;
            case 1:
                try {
                    return items.put(given, std::chrono::microseconds(up_to(50, choices)));
                } catch (const queue_full&) {
                }
                break;
            default:
                return items.put(std::move(given));
        }
    }
}

/// Nothing when the queue is shut down and empty.
template <class Queue, class Choices>
std::optional<item> get(Queue& items, Choices& choices) {
    for (;;) {
        try {
            switch (up_to(3, choices)) {
                case 0:
                    if (auto taken = items.try_get()) return taken;
                    break;
                case 1:
                    return items.get(std::chrono::microseconds(up_to(50, choices)));
                default:
                    return items.get();
            }
        } catch (const queue_empty&) {
        } catch (const queue_shutdown&) {
            return std::nullopt;
        }
    }
}

TYPED_TEST(queues_under_stress, no_item_is_lost_or_doubled_and_a_fifo_keeps_the_order_of_a_producer) {
    stress_run run;
    while (run.goes_on()) {
        auto choices = run.choices();
        const std::uint64_t producers = 1 + up_to(2, choices);
        const std::uint64_t consumers = 1 + up_to(2, choices);
        const std::uint64_t each = 1 + up_to(400, choices);
        TypeParam items(1 + up_to(20, choices));
        std::vector<std::vector<item>> taken(consumers);
        std::vector<std::jthread> putting;
        std::vector<std::jthread> taking;
        for (std::uint64_t p = 0; p < producers; ++p)
            putting.emplace_back([&, p, mine = run.choices()]() mutable {
                for (std::uint64_t i = 0; i < each; ++i) {
                    put(items, make_item(p, i), mine);
                    if (up_to(200, mine) == 0) items.set_maxsize(1 + up_to(20, mine));
                }
            });
        for (std::uint64_t c = 0; c < consumers; ++c)
            taking.emplace_back([&, c, mine = run.choices()]() mutable {
                while (auto got = get(items, mine)) {
                    taken[c].push_back(std::move(*got));
                    items.task_done();
                }
            });
        putting.clear();
        EXPECT_TRUE(items.join(60s));
        items.shutdown();
        taking.clear();
        std::vector<std::vector<int>> times(producers, std::vector<int>(each));
        for (const auto& mine : taken) {
            std::vector<std::uint64_t> next(producers);
            for (const item& got : mine) {
                EXPECT_EQ(got, make_item(got.producer, got.number));
                ++times.at(got.producer).at(got.number);
                if constexpr (std::is_same_v<TypeParam, queue<item>>) {
                    EXPECT_GE(got.number, next[got.producer]);
                    next[got.producer] = got.number + 1;
                }
            }
        }
        for (const auto& of_one : times)
            for (const int count : of_one) ASSERT_EQ(count, 1);
    }
}

TYPED_TEST(queues_under_stress, a_shutdown_at_any_time_lets_everybody_go) {
    stress_run run;
    while (run.goes_on()) {
        auto choices = run.choices();
        auto items = std::make_unique<TypeParam>(1 + up_to(5, choices));
        std::atomic<std::uint64_t> came{0};
        std::atomic<std::uint64_t> went{0};
        const bool is_immediate = up_to(1, choices) == 0;
        {
            std::vector<std::jthread> threads;
            for (int t = 0; t < 2; ++t) {
                threads.emplace_back([&, mine = run.choices()]() mutable {
                    try {
                        for (std::uint64_t i = 0;; ++i) {
                            items->put(make_item(0, i));
                            ++came;
                        }
                    } catch (const queue_shutdown&) {
                    }
                });
                threads.emplace_back([&, mine = run.choices()]() mutable {
                    while (get(*items, mine)) ++went;
                });
            }
            std::this_thread::sleep_for(std::chrono::microseconds(up_to(300, choices)));
            items->shutdown(is_immediate);
        }
        EXPECT_EQ(items->qsize(), 0U);
        EXPECT_TRUE(is_immediate ? went <= came : went == came);
    }
}

TEST(simple_queue_under_stress, may_go_as_soon_as_its_last_item_was_taken) {
    stress_run run;
    while (run.goes_on()) {
        auto choices = run.choices();
        const std::uint64_t count = 1 + up_to(300, choices);
        auto items = std::make_unique<simple_queue<item>>();
        std::jthread producer([count, raw = items.get()] {
            for (std::uint64_t i = 0; i < count; ++i) raw->put(make_item(0, i));
        });
        for (std::uint64_t i = 0; i < count; ++i) ASSERT_EQ(items->get().number, i);
        items.reset();
    }
}

}  // namespace
