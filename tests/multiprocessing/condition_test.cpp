#include <tercet/multiprocessing.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <mutex>
#include <vector>

#include "forked_child.hpp"

namespace tercet::multiprocessing {
namespace {

using namespace std::chrono_literals;

/// Children that wait for a notification, and count those that got one.
class waiters {
public:
    explicit waiters(const condition& ready, int count) : ready_(ready) {
        for (int i = 0; i < count; ++i) add();
    }
    void add() {
        children_.emplace_back([this] {
            const std::lock_guard inside(ready_);
            const bool is_notified = ready_.wait(60s);
            woken_.release();
            return is_notified ? 1 : 0;
        });
        children_.back().until_asleep();
    }
    void notify(std::size_t count) const {
        const std::lock_guard inside(ready_);
        ready_.notify(count);
    }
    /// Whether exactly so many more are woken.
    bool wakes(int count) const {
        for (int i = 0; i < count; ++i)
            if (!woken_.acquire(60s)) return false;
        return !woken_.acquire(20ms);
    }
    forked_child& operator[](std::size_t index) { return children_[index]; }
    void expect_all_notified() {
        for (auto& each : children_) EXPECT_EQ(each.wait(), 1);
    }

private:
    condition ready_;
    semaphore woken_{0};
    std::vector<forked_child> children_;
};

TEST(condition, notify_wakes_so_many_and_no_more) {
    const condition ready;
    waiters all(ready, 5);
    all.notify(3);
    EXPECT_TRUE(all.wakes(3));
    all.notify(1);
    EXPECT_TRUE(all.wakes(1));
    all.notify(7);
    EXPECT_TRUE(all.wakes(1));
    all.expect_all_notified();
    all.notify(2);  // for nobody
    const std::lock_guard inside(ready);
    EXPECT_FALSE(ready.wait(1ms));
}

TEST(condition, notify_passes_over_who_was_killed_while_it_waited) {
    const condition ready;
    waiters all(ready, 3);
    all[0].kill();
    all.notify(1);
    EXPECT_TRUE(all.wakes(1));
    EXPECT_EQ(all[1].wait(), 1);
    all.add();  // in the seat of the dead
    all.notify(2);
    EXPECT_TRUE(all.wakes(2));
    EXPECT_EQ(all[2].wait(), 1);
    EXPECT_EQ(all[3].wait(), 1);
}

TEST(condition, wakes_all_who_wait) {
    const lock door;
    const condition ready(door);
    waiters all(ready, 4);
    {
        const std::lock_guard inside(door);
        ready.notify_all();
    }
    EXPECT_TRUE(all.wakes(4));
    all.expect_all_notified();
}

TEST(condition, wait_for_counts_its_limit_once) {
    const condition ready;
    const event over;
    forked_child disturber([&] {
        while (!over.is_set()) {
            const std::lock_guard inside(ready);
            ready.notify_all();
        }
        return 0;
    });
    std::unique_lock inside(ready);
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_FALSE(ready.wait_for([] { return false; }, 50ms));
    EXPECT_GE(std::chrono::steady_clock::now() - begin, 50ms);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 30s);
    EXPECT_TRUE(ready.wait_for([] { return true; }, 0s));
    inside.unlock();
    over.set();
    EXPECT_EQ(disturber.wait(), 0);
}

TEST(condition, is_refused_without_its_lock) {
    const condition ready;
    EXPECT_THROW(ready.wait(), invalid_state_error);
    EXPECT_THROW(ready.notify(), invalid_state_error);
    EXPECT_THROW(ready.notify_all(), invalid_state_error);
    EXPECT_THROW(ready.wait_for([] { return true; }), invalid_state_error);
}

TEST(condition, wait_gives_up_an_rlock_altogether) {
    const rlock door;
    const condition ready(door);
    door.acquire();
    door.acquire();
    forked_child other([&] {
        const std::lock_guard inside(ready);
        ready.notify();
        return 0;
    });
    EXPECT_TRUE(ready.wait(60s));
    EXPECT_EQ(door.recursion_count(), 2U);
    EXPECT_EQ(other.wait(), 0);
    door.release();
    door.release();
}

TEST(condition, whose_lock_died_with_its_owner_goes_on) {
    const condition ready;
    waiters all(ready, 1);
    forked_child([&]() -> int {
        ready.acquire();
        die();
    }).wait();
    {
        const std::lock_guard inside(ready);
        EXPECT_TRUE(ready.owner_died());
        ready.notify();
    }
    EXPECT_TRUE(all.wakes(1));
    all.expect_all_notified();
}

TEST(condition, sent_to_a_worker_is_the_same_there) {
    process_pool_executor pool(1);
    const condition ready;
    const value<int> result(0);
    auto call = pool.submit(
        [](condition received, value<int> changed) {
            const std::lock_guard inside(received);
            changed.set(42);
            received.notify_all();
        },
        ready, result);
    const std::lock_guard inside(ready);
    EXPECT_TRUE(ready.wait_for([&] { return result.get() == 42; }, 60s));
}

}  // namespace
}  // namespace tercet::multiprocessing
