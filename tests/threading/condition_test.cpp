#include <tercet/futures/errors.hpp>
#include <tercet/threading/condition.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using namespace tercet;
using tercet::threading::condition;
using tercet::threading::lock;
using tercet::threading::rlock;

/// A condition on each kind of lock.
struct on_lock {
    lock door;
    condition changed{door};
};
struct on_rlock {
    rlock door;
    condition changed{door};
};
struct on_its_own {
    condition changed;
};

template <class T>
class conditions : public testing::Test {};
using all = testing::Types<on_lock, on_rlock, on_its_own>;
TYPED_TEST_SUITE(conditions, all, );

TYPED_TEST(conditions, wait_and_notify_without_the_lock_throw) {
    TypeParam on;
    EXPECT_THROW(on.changed.wait(), invalid_state_error);
    EXPECT_THROW(on.changed.wait_for([] { return true; }), invalid_state_error);
    EXPECT_THROW(on.changed.notify(), invalid_state_error);
    EXPECT_THROW(on.changed.notify_all(), invalid_state_error);
    EXPECT_THROW(on.changed.release(), invalid_state_error);
}

TYPED_TEST(conditions, notify_of_three_wakes_exactly_three_of_five_the_longest_waiting_first) {
    TypeParam on;
    std::vector<int> arrived;
    std::vector<int> woken;
    std::vector<std::jthread> threads;
    for (int t = 0; t < 5; ++t)
        threads.emplace_back([&, t] {
            const std::lock_guard guard(on.changed);
            arrived.push_back(t);
            EXPECT_TRUE(on.changed.wait());
            woken.push_back(t);
        });
    // Who has arrived and has given the lock free, waits.
    auto until = [&](auto is_so) {
        for (;; std::this_thread::yield()) {
            const std::lock_guard guard(on.changed);
            if (is_so()) return;
        }
    };
    until([&] { return arrived.size() == 5; });
    {
        const std::lock_guard guard(on.changed);
        on.changed.notify(3);
    }
    until([&] { return woken.size() == 3; });
    {
        const std::lock_guard guard(on.changed);
        EXPECT_EQ(std::set<int>(woken.begin(), woken.end()), std::set<int>(arrived.begin(), arrived.begin() + 3));
        on.changed.notify(0);
        on.changed.notify(5);
        on.changed.notify();  // nobody is left: it is not kept for those who come
    }
    until([&] { return woken.size() == 5; });
    const std::lock_guard guard(on.changed);
    EXPECT_FALSE(on.changed.wait(1ms));
}

TYPED_TEST(conditions, notify_all_wakes_all) {
    TypeParam on;
    bool is_open = false;
    int through = 0;
    {
        std::vector<std::jthread> threads;
        for (int t = 0; t < 6; ++t)
            threads.emplace_back([&] {
                const std::lock_guard guard(on.changed);
                EXPECT_TRUE(on.changed.wait_for([&] { return is_open; }));
                ++through;
            });
        const std::lock_guard guard(on.changed);
        is_open = true;
        on.changed.notify_all();
    }
    EXPECT_EQ(through, 6);
}

TYPED_TEST(conditions, wait_gives_up_at_its_limit_and_has_the_lock_again) {
    TypeParam on;
    const std::lock_guard guard(on.changed);
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_FALSE(on.changed.wait(20ms));
    EXPECT_GE(std::chrono::steady_clock::now() - begin, 20ms);
    EXPECT_FALSE(on.changed.wait(0s));
    EXPECT_THROW(on.changed.wait(-1s), std::invalid_argument);
    std::thread([&] { EXPECT_FALSE(on.changed.try_lock()); }).join();
}

TYPED_TEST(conditions, wait_for_counts_its_limit_once_over_all_notifications) {
    TypeParam on;
    std::atomic<bool> is_over{false};
    std::jthread notifier([&] {
        while (!is_over) {
            const std::lock_guard guard(on.changed);
            on.changed.notify();
        }
    });
    const auto begin = std::chrono::steady_clock::now();
    {
        const std::lock_guard guard(on.changed);
        EXPECT_FALSE(on.changed.wait_for([] { return false; }, 50ms));
    }
    is_over = true;
    EXPECT_GE(std::chrono::steady_clock::now() - begin, 50ms);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 20s);
}

TYPED_TEST(conditions, wait_for_passes_on_what_its_predicate_throws_with_the_lock_held) {
    TypeParam on;
    const std::lock_guard guard(on.changed);
    EXPECT_THROW(on.changed.wait_for([]() -> bool { throw std::runtime_error("no"); }), std::runtime_error);
    std::thread([&] { EXPECT_FALSE(on.changed.try_lock()); }).join();
}

TYPED_TEST(conditions, a_notification_is_not_lost_between_two_that_answer_each_other) {
    TypeParam on;
    int turn = 0;
    auto play = [&](int me) {
        for (int i = 0; i < 2'000; ++i) {
            const std::lock_guard guard(on.changed);
            on.changed.wait_for([&] { return turn == me; });
            turn = 1 - me;
            on.changed.notify();
        }
    };
    std::jthread one(play, 0);
    std::jthread two(play, 1);
}

TEST(condition, frees_an_rlock_altogether_and_takes_it_as_often_as_before) {
    rlock door;
    condition changed(door);
    door.acquire();
    door.acquire();
    std::jthread notifier([&] {
        const std::lock_guard guard(changed);
        changed.notify();
    });
    EXPECT_TRUE(changed.wait());
    EXPECT_EQ(door.recursion_count(), 2U);
    door.release();
    door.release();
}

TEST(condition, two_conditions_of_one_lock_wake_their_own) {
    lock door;
    condition a(door);
    condition b(door);
    bool waits = false;
    std::jthread waiter([&] {
        const std::lock_guard guard(door);
        waits = true;
        EXPECT_TRUE(a.wait());
    });
    for (bool is_there = false; !is_there; std::this_thread::yield()) {
        const std::lock_guard guard(door);
        is_there = waits;
    }
    const std::lock_guard guard(door);
    b.notify_all();
    EXPECT_FALSE(b.wait(1ms));
    a.notify_all();
}

TEST(condition, with_a_lock_held_means_held_by_anybody) {
    lock door;
    condition changed(door);
    std::thread([&] { door.acquire(); }).join();
    changed.notify();
    EXPECT_FALSE(changed.wait(1ms));
    door.release();
}

}  // namespace
