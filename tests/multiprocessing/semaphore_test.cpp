#include <tercet/multiprocessing.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <mutex>
#include <stdexcept>
#include <vector>

#include "forked_child.hpp"

namespace tercet::multiprocessing {
namespace {

using namespace std::chrono_literals;

TEST(semaphore, lets_as_many_processes_in_as_it_has_permits) {
    const semaphore permits(3);
    const value<int> inside(0);
    const value<int> most(0);
    std::vector<forked_child> children;
    for (int i = 0; i < 6; ++i)
        children.emplace_back([&] {
            for (int k = 0; k < 500; ++k) {
                const std::lock_guard one(permits);
                const int now = inside.update([](int& n) { return ++n; });
                most.update([now](int& n) { n = std::max(n, now); });
                inside.update([](int& n) { --n; });
            }
            return 0;
        });
    for (auto& each : children) EXPECT_EQ(each.wait(), 0);
    EXPECT_EQ(permits.value(), 3);
    EXPECT_LE(most.get(), 3);
}

TEST(semaphore, gives_back_several_permits_at_once_and_wakes_that_many) {
    const semaphore permits(0);
    const semaphore through(0);
    std::vector<forked_child> children;
    for (int i = 0; i < 5; ++i)
        children.emplace_back([&] {
            permits.acquire();
            through.release();
            return 0;
        });
    for (const auto& each : children) each.until_asleep();
    permits.release(3);
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(through.acquire(10s));
    EXPECT_EQ(permits.value(), 0);
    EXPECT_EQ(through.value(), 0);
    permits.release(5'000);
    for (auto& each : children) EXPECT_EQ(each.wait(), 0);
    EXPECT_EQ(permits.value(), 4'998);
}

TEST(semaphore, waits_no_longer_than_its_limit) {
    const semaphore permits(1);
    EXPECT_TRUE(permits.try_lock());
    EXPECT_FALSE(permits.try_lock());
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_FALSE(permits.acquire(20ms));
    EXPECT_GE(std::chrono::steady_clock::now() - begin, 20ms);
    permits.release();
    EXPECT_EQ(permits.value(), 1);
    EXPECT_THROW(permits.release(0), std::invalid_argument);
    EXPECT_THROW(permits.release(semaphore::most_permits), std::invalid_argument);
    EXPECT_THROW(semaphore(-1), std::invalid_argument);
}

TEST(semaphore, permit_of_a_killed_process_can_be_given_back_by_another) {
    const semaphore permits(1);
    forked_child([&]() -> int {
        permits.acquire();
        die();
    }).wait();
    EXPECT_FALSE(permits.acquire(1ms));
    permits.release();
    EXPECT_TRUE(permits.acquire(10s));
}

TEST(semaphore, killed_waiters_swallow_no_permit) {
    const semaphore permits(0);
    for (int round = 0; round < 50; ++round) {
        std::vector<forked_child> killed;
        for (int i = 0; i < 2; ++i)
            killed.emplace_back([&]() -> int {
                permits.acquire();
                permits.release();
                die();
            });
        forked_child survivor([&] { return permits.acquire(60s) ? 1 : 0; });
        for (const auto& each : killed) each.until_asleep();
        survivor.until_asleep();
        ::kill(killed[0].pid(), SIGKILL);
        permits.release();
        ASSERT_EQ(survivor.wait(), 1);
        killed.clear();
        while (permits.try_lock()) {
        }
    }
}

TEST(bounded_semaphore, refuses_a_release_too_many) {
    const bounded_semaphore permits(2);
    EXPECT_THROW(permits.release(), std::invalid_argument);
    permits.acquire();
    EXPECT_THROW(permits.release(2), std::invalid_argument);
    permits.release();
    EXPECT_EQ(permits.value(), 2);
}

TEST(semaphore, sent_to_a_worker_is_the_same_there) {
    process_pool_executor pool(1);
    const bounded_semaphore permits(2);
    pool.submit([](bounded_semaphore received) { received.acquire(); }, permits).result();
    EXPECT_EQ(permits.value(), 1);
    permits.release();
    auto refused = pool.submit([](bounded_semaphore received) { received.release(); }, permits);
    EXPECT_THROW(refused.result(), std::invalid_argument);
}

}  // namespace
}  // namespace tercet::multiprocessing
