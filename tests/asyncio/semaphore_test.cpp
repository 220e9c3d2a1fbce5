#include <tercet/asyncio.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>
#include <vector>

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using tercet::cancelled_error;
using testing::ElementsAre;

namespace {

coro<> take_and_note(semaphore& permits, std::vector<int>& order, int number) {
    co_await permits.acquire();
    order.push_back(number);
}

coro<> turns(int count) {
    for (int i = 0; i < count; ++i) co_await sleep(0s);
}

}  // namespace

TEST(semaphore, serves_in_the_order_of_arrival) {
    auto main = []() -> coro<> {
        semaphore permits(0);
        std::vector<int> order;
        for (int i = 1; i <= 4; ++i) create_task(take_and_note(permits, order, i));
        co_await turns(1);
        permits.release(4);
        co_await turns(1);
        EXPECT_THAT(order, ElementsAre(1, 2, 3, 4));
        EXPECT_EQ(permits.available(), 0U);
    };
    run(main());
}

TEST(semaphore, cancelled_waiters_are_passed_over) {
    auto main = []() -> coro<> {
        semaphore permits(0);
        std::vector<int> order;
        std::vector<task<>> waiters;
        for (int i = 1; i <= 4; ++i) waiters.push_back(create_task(take_and_note(permits, order, i)));
        co_await turns(1);
        waiters[0].cancel();
        waiters[1].cancel();
        permits.release();
        co_await turns(2);
        EXPECT_THAT(order, ElementsAre(3));
        permits.release();
        co_await turns(1);
        EXPECT_THAT(order, ElementsAre(3, 4));
    };
    run(main());
}

TEST(semaphore, a_newcomer_does_not_overtake_one_who_waits) {
    auto main = []() -> coro<> {
        semaphore permits(0);
        std::vector<int> order;
        create_task(take_and_note(permits, order, 1));
        co_await turns(1);
        permits.release();
        EXPECT_FALSE(permits.try_acquire());
        create_task(take_and_note(permits, order, 2));
        co_await turns(1);
        permits.release();
        co_await turns(1);
        EXPECT_THAT(order, ElementsAre(1, 2));
    };
    run(main());
}

TEST(semaphore, a_scoped_permit_comes_back_by_itself) {
    auto main = []() -> coro<> {
        semaphore permits(2);
        int running = 0;
        int most = 0;
        auto work = [&]() -> coro<> {
            const auto permit = co_await permits.scoped();
            most = std::max(most, ++running);
            co_await turns(2);
            --running;
        };
        std::vector<coro<>> all;
        for (int i = 0; i < 10; ++i) all.push_back(work());
        co_await gather(std::move(all));
        EXPECT_EQ(most, 2);
        EXPECT_EQ(permits.available(), 2U);
    };
    run(main());
}

TEST(semaphore, releases_and_newcomers_in_one_turn_are_served_strictly_in_order) {
    auto main = []() -> coro<> {
        semaphore permits(1);
        std::vector<int> order;
        auto work = [&](int number) -> coro<> {
            for (int i = 0; i < 3; ++i) {
                co_await permits.acquire();
                order.push_back(number);
                permits.release();  // and come back at once: behind all who wait
            }
        };
        co_await permits.acquire();
        std::vector<task<>> workers;
        for (int i = 1; i <= 3; ++i) workers.push_back(create_task(work(i)));
        co_await turns(1);
        permits.release();
        for (const task<>& each : workers) co_await each;
        EXPECT_THAT(order, ElementsAre(1, 2, 3, 1, 2, 3, 1, 2, 3));
    };
    run(main());
}

TEST(semaphore, a_release_makes_ready_and_resumes_nobody_inside_the_call) {
    auto main = []() -> coro<> {
        semaphore permits(0);
        std::vector<int> order;
        create_task(take_and_note(permits, order, 1));
        co_await turns(1);
        permits.release();
        EXPECT_THAT(order, ElementsAre());
        co_await turns(1);
        EXPECT_THAT(order, ElementsAre(1));
    };
    run(main());
}

TEST(bounded_semaphore, a_release_too_many_is_a_mistake_and_gives_back_nothing) {
    auto main = []() -> coro<> {
        bounded_semaphore permits(2);
        EXPECT_THROW(permits.release(), std::invalid_argument);
        co_await permits.acquire();
        EXPECT_THROW(permits.release(2), std::invalid_argument);
        EXPECT_EQ(permits.available(), 1U);
        {
            const auto permit = co_await permits.scoped();
            EXPECT_FALSE(permits.try_acquire());
            permits.release();
        }
        EXPECT_EQ(permits.available(), 2U);
        EXPECT_THROW(permits.release(), std::invalid_argument);
    };
    run(main());
}

TEST(bounded_semaphore, serves_in_the_order_of_arrival_and_passes_over_who_was_cancelled) {
    auto main = []() -> coro<> {
        bounded_semaphore permits(1);
        std::vector<int> order;
        auto work = [&](int number) -> coro<> {
            const auto permit = co_await permits.scoped();
            order.push_back(number);
        };
        co_await permits.acquire();
        std::vector<task<>> waiters;
        for (int i = 1; i <= 4; ++i) waiters.push_back(create_task(work(i)));
        co_await turns(1);
        waiters[1].cancel();
        permits.release();
        co_await waiters[3];
        EXPECT_THAT(order, ElementsAre(1, 3, 4));
        EXPECT_EQ(permits.available(), 1U);
    };
    run(main());
}
