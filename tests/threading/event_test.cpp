#include <tercet/threading/event.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <optional>
#include <stdexcept>
#include <thread>
#include <vector>

#include "gate.hpp"

namespace {

using namespace std::chrono_literals;
using tercet::threading::await_sleep_of;
using tercet::threading::event;
using tercet::threading::get_native_id;

TEST(event, wait_returns_once_it_is_set_and_sees_what_was_done_before) {
    event ready;
    int value = 0;
    std::jthread waiter([&] {
        EXPECT_TRUE(ready.wait());
        EXPECT_EQ(value, 7);
    });
    value = 7;
    ready.set();
    EXPECT_TRUE(ready.is_set());
    EXPECT_TRUE(ready.wait());
}

TEST(event, wait_gives_up_at_its_limit) {
    event never;
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_FALSE(never.wait(20ms));
    EXPECT_GE(std::chrono::steady_clock::now() - begin, 20ms);
    EXPECT_FALSE(never.wait(0s));
    EXPECT_THROW(never.wait(-1s), std::invalid_argument);
    never.set();
    EXPECT_TRUE(never.wait(0s));
    never.clear();
    EXPECT_FALSE(never.is_set());
    EXPECT_FALSE(never.wait(0s));
}

// Each waiter says that it is about to wait; whether it already stands in the line is not known, so the setter goes on
// until all have come out. A waiter of a set that is cleared at once must not be lost: with one waiter for each set.
TEST(event, all_waiters_of_a_set_wake_although_it_is_cleared_at_once) {
    constexpr int waiters = 5;
    for (int round = 0; round < 200; ++round) {
        event ready;
        std::atomic<int> woken{0};
        std::vector<std::jthread> threads;
        for (int t = 0; t < waiters; ++t)
            threads.emplace_back([&] {
                EXPECT_TRUE(ready.wait());
                ++woken;
            });
        while (woken < waiters) {
            ready.set();
            ready.clear();
            std::this_thread::yield();
        }
    }
}

TEST(event, one_set_wakes_all_who_sleep_although_it_is_cleared_at_once) {
    constexpr int waiters = 5;
    event ready;
    std::array<std::atomic<int>, waiters> ids{};
    std::vector<std::jthread> threads;
    for (auto& id : ids)
        threads.emplace_back([&] {
            id = get_native_id();
            EXPECT_TRUE(ready.wait(20s));
        });
    for (auto& id : ids) {
        while (id == 0) std::this_thread::yield();
        await_sleep_of(id);
    }
    ready.set();
    ready.clear();
    threads.clear();
    EXPECT_FALSE(ready.is_set());
    EXPECT_FALSE(ready.wait(1ms));
}

TEST(event, may_be_destroyed_as_soon_as_wait_has_returned) {
    for (int i = 0; i < 2'000; ++i) {
        std::optional<event> reply(std::in_place);
        std::thread setter([&] { reply->set(); });
        reply->wait();
        reply.reset();
        setter.join();
    }
}

}  // namespace
