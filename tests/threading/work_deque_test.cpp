#include "threading/work_deque.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <span>
#include <thread>
#include <vector>

#include "threading/injection_queue.hpp"

namespace tercet::threading {
namespace {

struct numbered final : job {
    void run(finish_observer*) noexcept override {}
    void discard() noexcept override {}
    void fail(std::exception_ptr) noexcept override {}
    std::atomic<int> taken{0};
};

int number_of(const job* one, const std::vector<numbered>& all) {
    return one ? static_cast<int>(static_cast<const numbered*>(one) - all.data()) : -1;
}

TEST(work_deque, gives_its_owner_the_newest_and_a_thief_the_oldest) {
    std::vector<numbered> all(3);
    basic_work_deque<4> deque;
    for (auto& each : all) EXPECT_TRUE(deque.push(each));
    EXPECT_EQ(number_of(deque.pop(), all), 2);
    EXPECT_EQ(number_of(deque.steal(), all), 0);
    EXPECT_EQ(deque.size(), 1U);
    EXPECT_EQ(number_of(deque.pop(), all), 1);
    EXPECT_EQ(deque.pop(), nullptr);
    EXPECT_EQ(deque.steal(), nullptr);
    EXPECT_TRUE(deque.is_empty());
}

TEST(work_deque, refuses_more_than_its_capacity) {
    std::vector<numbered> all(3);
    basic_work_deque<2> deque;
    EXPECT_TRUE(deque.push(all[0]));
    EXPECT_TRUE(deque.push(all[1]));
    EXPECT_FALSE(deque.push(all[2]));
    EXPECT_EQ(number_of(deque.steal(), all), 0);
    EXPECT_TRUE(deque.push(all[2]));
}

TEST(work_deque, takes_several_at_once_or_none_of_them) {
    std::vector<numbered> all(5);
    const std::vector<job*> three{&all[0], &all[1], &all[2]};
    basic_work_deque<4> deque;
    EXPECT_TRUE(deque.push_all(three));
    EXPECT_FALSE(deque.push_all(std::span(three).first(2)));
    EXPECT_TRUE(deque.push(all[3]));
    EXPECT_EQ(number_of(deque.steal(), all), 0);
    EXPECT_EQ(number_of(deque.pop(), all), 3);
    EXPECT_EQ(number_of(deque.steal(), all), 1);
    EXPECT_EQ(number_of(deque.steal(), all), 2);
    EXPECT_EQ(deque.steal(), nullptr);
}

TEST(work_deque, every_job_is_taken_exactly_once_by_threads_that_run_freely) {
    for (unsigned seed = 0; seed < 2; ++seed) {
        std::vector<numbered> all(2000);
        basic_work_deque<2> deque;
        std::atomic<bool> is_over{false};
        std::vector<std::thread> thieves;
        for (unsigned thief = 0; thief < 2; ++thief)
            thieves.emplace_back([&, random = std::minstd_rand(2 * seed + thief + 1)]() mutable {
                while (!is_over || !deque.is_empty()) {
                    if (job* const stolen = deque.steal()) ++static_cast<numbered*>(stolen)->taken;
                    if (random() % 4 == 0) std::this_thread::yield();
                }
            });
        std::minstd_rand random(seed + 1000);
        std::size_t next = 0;
        while (next < all.size()) {
            if (random() % 3 != 0) {
                next += deque.push(all[next]) ? 1 : 0;
            } else if (job* const newest = deque.pop()) {
                ++static_cast<numbered*>(newest)->taken;
            }
            if (random() % 8 == 0) std::this_thread::yield();
        }
        is_over = true;
        for (auto& each : thieves) each.join();
        for (const auto& each : all) ASSERT_EQ(each.taken, 1) << "seed " << seed;
    }
}

TEST(injection_queue, keeps_the_order_over_many_chunks) {
    std::vector<numbered> all(1000);
    injection_queue queue;
    std::size_t next = 0;
    for (std::size_t i = 0; i < all.size(); ++i) {
        queue.push(all[i]);
        if (i % 3 == 0) {
            EXPECT_EQ(queue.front(), &all[next++]);
            queue.pop();
        }
    }
    EXPECT_EQ(queue.size(), all.size() - next);
    for (; next < all.size(); ++next) {
        EXPECT_EQ(queue.front(), &all[next]);
        EXPECT_EQ(queue.front(), &all[next]);
        queue.pop();
    }
    EXPECT_EQ(queue.front(), nullptr);
}

TEST(injection_queue, gives_several_at_once_in_their_order) {
    std::vector<numbered> all(1000);
    injection_queue queue;
    EXPECT_TRUE(queue.front(5).empty());
    for (auto& each : all) queue.push(each);
    std::size_t next = 0;
    while (next < all.size()) {
        EXPECT_TRUE(queue.front(0).empty());  // also where a chunk ends
        queue.pop(0);
        const auto some = queue.front(50);
        ASSERT_FALSE(some.empty());
        ASSERT_LE(some.size(), 50U);
        for (const job* each : some) ASSERT_EQ(each, &all[next++]);
        queue.pop(some.size());
    }
    EXPECT_EQ(queue.size(), 0U);
    EXPECT_TRUE(queue.front(1).empty());
}

TEST(injection_queue, one_thread_adds_while_another_takes) {
    std::vector<numbered> all(100'000);
    injection_queue queue;
    std::thread adding([&] {
        for (auto& each : all) {
            queue.push(each);
            while (queue.size_up_to(300) >= 300) std::this_thread::yield();
        }
    });
    for (std::size_t next = 0; next < all.size();) {
        job* const first = queue.front();
        if (!first) {
            std::this_thread::yield();
            continue;
        }
        ASSERT_EQ(first, &all[next++]);
        queue.pop();
    }
    adding.join();
    EXPECT_EQ(queue.size(), 0U);
}

}  // namespace
}  // namespace tercet::threading
