#include <tercet/multiprocessing.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <thread>
#include <vector>

#include "forked_child.hpp"

namespace tercet::multiprocessing {
namespace {

using namespace std::chrono_literals;

TEST(event, set_and_cleared_at_once_wakes_all_who_waited) {
    const event flag;
    std::vector<forked_child> children;
    for (int i = 0; i < 4; ++i) children.emplace_back([&] { return flag.wait(60s) ? 1 : 0; });
    for (const auto& each : children) each.until_asleep();
    flag.set();
    flag.clear();
    for (auto& each : children) EXPECT_EQ(each.wait(), 1);
    EXPECT_FALSE(flag.is_set());
    EXPECT_FALSE(flag.wait(1ms));
}

TEST(event, stays_set_until_it_is_cleared) {
    const event flag;
    EXPECT_FALSE(flag.wait(0s));
    flag.set();
    flag.set();
    EXPECT_TRUE(flag.wait());
    EXPECT_EQ(forked_child([&] { return flag.is_set() ? 1 : 0; }).wait(), 1);
    flag.clear();
    flag.clear();
    EXPECT_FALSE(flag.is_set());
    flag.set();
    EXPECT_TRUE(flag.is_set());
}

TEST(event, outlives_those_who_are_killed_with_it) {
    const event flag;
    forked_child waiter([&] { return flag.wait() ? 1 : 0; });
    forked_child killed([&] { return flag.wait() ? 1 : 0; });
    waiter.until_asleep();
    killed.until_asleep();
    killed.kill();
    forked_child([&]() -> int {
        flag.set();
        die();
    }).wait();
    EXPECT_EQ(waiter.wait(), 1);
}

TEST(event, shows_what_was_written_before_it_was_set) {
    const event there;
    const event back;
    const shared_array<int> numbers(1);
    forked_child other([&] {
        for (int i = 1; i <= 2'000; ++i) {
            there.wait();
            there.clear();
            if (numbers[0] != i) return 1;
            back.set();
        }
        return 0;
    });
    for (int i = 1; i <= 2'000; ++i) {
        numbers[0] = i;
        there.set();
        ASSERT_TRUE(back.wait(60s));
        back.clear();
    }
    EXPECT_EQ(other.wait(), 0);
}

TEST(event, set_while_it_is_set_is_not_lost_to_one_who_clears_it_and_looks) {
    constexpr int rounds = 100'000;
    const event flag;
    std::atomic<int> data{0};
    std::atomic<int> round{0};
    std::atomic<int> done{0};
    std::thread producer([&] {
        for (int i = 1; i <= rounds; ++i) {
            while (round.load(std::memory_order_acquire) != i) std::this_thread::yield();
            data.store(i, std::memory_order_release);
            flag.set();
            done.store(i, std::memory_order_release);
        }
    });
    int lost = 0;
    for (int i = 1; i <= rounds; ++i) {
        flag.set();
        round.store(i, std::memory_order_release);
        flag.clear();
        const int seen = data.load(std::memory_order_acquire);
        while (done.load(std::memory_order_acquire) != i) std::this_thread::yield();
        if (seen != i && !flag.is_set()) ++lost;  // nobody would look at it again
        flag.clear();
    }
    producer.join();
    EXPECT_EQ(lost, 0);
}

TEST(event, sent_to_a_worker_is_the_same_there) {
    process_pool_executor pool(1);
    const event flag;
    const event answer;
    auto waits = pool.submit(
        [](event received, event answering) {
            received.wait();
            answering.set();
        },
        flag, answer);
    flag.set();
    EXPECT_TRUE(answer.wait(60s));
    waits.result();
}

}  // namespace
}  // namespace tercet::multiprocessing
