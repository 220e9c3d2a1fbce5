#include <tercet/asyncio/timer_queue.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <random>
#include <vector>

using namespace std::chrono_literals;
using tercet::asyncio::timer_node;
using tercet::asyncio::timer_queue;

namespace {

struct note : timer_node {
    note(int value, std::vector<int>& fired) : timer_node(&fire), number(value), order(fired) {}
    static void fire(timer_node& self) noexcept {
        auto& here = static_cast<note&>(self);
        here.order.push_back(here.number);
    }
    int number;
    std::vector<int>& order;
};

const timer_node::time_point start{};

}  // namespace

TEST(timer_queue, equal_deadlines_expire_in_the_order_of_adding) {
    std::vector<int> fired;
    timer_queue timers;
    std::vector<std::unique_ptr<note>> notes;
    for (int i = 0; i < 10; ++i) {
        notes.push_back(std::make_unique<note>(i, fired));
        timers.add(*notes.back(), start + 1s);
    }
    timers.expire(start + 1s);
    EXPECT_TRUE(std::ranges::is_sorted(fired));
    EXPECT_EQ(fired.size(), 10U);
    EXPECT_TRUE(timers.empty());
}

TEST(timer_queue, is_looked_into_once_for_all_whose_slack_allows_it) {
    std::vector<int> fired;
    timer_queue timers;
    note first(1, fired);
    note second(2, fired);
    note exact(3, fired);
    timers.add(first, start + 1000us, 100us);
    EXPECT_EQ(timers.next_look(), start + 1100us);
    timers.add(second, start + 1010us, 20us);
    EXPECT_EQ(timers.next_look(), start + 1030us);
    timers.add(exact, start + 1020us);
    EXPECT_EQ(timers.next_look(), start + 1020us);
    EXPECT_EQ(timers.next_deadline(), start + 1000us);
    timers.expire(timers.next_look());
    EXPECT_EQ(fired, (std::vector{1, 2, 3}));
}

TEST(timer_queue, no_timer_is_looked_at_too_late_or_before_the_first_deadline) {
    std::vector<int> fired;
    std::mt19937 random(5);
    timer_queue timers;
    struct bounded {
        std::unique_ptr<note> timer;
        timer_node::time_point deadline;
        timer_node::time_point latest;
    };
    std::vector<bounded> queued;
    for (int i = 0; i < 500; ++i) {
        const auto deadline = start + std::chrono::microseconds(random() % 1000);
        const auto slack = std::chrono::microseconds(random() % 50);
        queued.push_back({std::make_unique<note>(i, fired), deadline, deadline + slack});
        timers.add(*queued.back().timer, deadline, slack);
    }
    for (int i = 0; i < 100; ++i) {
        const std::size_t place = random() % queued.size();
        timers.cancel(*queued[place].timer);
        queued.erase(queued.begin() + static_cast<std::ptrdiff_t>(place));
    }
    while (!timers.empty()) {
        const auto look = timers.next_look();
        EXPECT_GE(look, timers.next_deadline());
        for (const bounded& each : queued) EXPECT_TRUE(!each.timer->is_queued() || look <= each.latest);
        timers.expire(look);
    }
}

TEST(timer_queue, only_what_is_due_expires) {
    std::vector<int> fired;
    timer_queue timers;
    note early(1, fired);
    note late(2, fired);
    timers.add(late, start + 2s);
    timers.add(early, start + 1s);
    EXPECT_EQ(timers.next_deadline(), start + 1s);
    timers.expire(start + 1s);
    EXPECT_EQ(fired, std::vector<int>{1});
    EXPECT_FALSE(early.is_queued());
    EXPECT_TRUE(late.is_queued());
    timers.cancel(late);
    EXPECT_TRUE(timers.empty());
    timers.cancel(late);
}

TEST(timer_queue, agrees_with_a_sorted_list_under_random_adding_and_cancelling) {
    std::mt19937 random(7);
    for (int round = 0; round < 50; ++round) {
        std::vector<int> fired;
        timer_queue timers;
        std::vector<std::unique_ptr<note>> notes;
        std::vector<std::pair<timer_node::time_point, int>> expected;
        for (int i = 0; i < 200; ++i) {
            notes.push_back(std::make_unique<note>(i, fired));
            const auto deadline = start + std::chrono::milliseconds(random() % 50);
            timers.add(*notes.back(), deadline);
            expected.emplace_back(deadline, i);
            if (random() % 3 == 0) {
                const std::size_t victim = random() % expected.size();
                timers.cancel(*notes[static_cast<std::size_t>(expected[victim].second)]);
                expected.erase(expected.begin() + static_cast<std::ptrdiff_t>(victim));
            }
            if (random() % 20 == 0) {
                timer_node* const popped = timers.pop();
                const auto first = std::ranges::min_element(expected);
                ASSERT_EQ(popped == nullptr, first == expected.end());
                if (popped) {
                    ASSERT_EQ(static_cast<note*>(popped)->number, first->second);
                    expected.erase(first);
                }
            }
        }
        timers.expire(start + 1s);
        std::ranges::sort(expected);
        std::vector<int> numbers;
        for (const auto& [deadline, number] : expected) numbers.push_back(number);
        EXPECT_EQ(fired, numbers);
    }
}
