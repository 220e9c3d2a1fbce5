#include <tercet/asyncio.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using tercet::cancelled_error;
using tercet::invalid_state_error;
using testing::ElementsAre;

namespace {

/// Tasks that take a token each, note that, and have it until they may go.
class borrowers {
public:
    explicit borrowers(capacity_limiter& limit) : limit_(limit) {}

    /// It has a token, or waits for one.
    task<> add(int number) { return create_task(borrow(number), {.eager_start = true}); }
    /// `count` have had a token.
    coro<> reached(std::size_t count) {
        while (order.size() < count) {
            has_grown_.clear();
            co_await has_grown_.wait();
        }
    }
    std::vector<int> order;
    event may_go;

private:
    coro<> borrow(int number) {
        const auto token = co_await limit_.scoped();
        order.push_back(number);
        has_grown_.set();
        co_await may_go.wait();
    }
    capacity_limiter& limit_;
    event has_grown_;
};

coro<> end_cancelled(task<> ended) {
    ended.cancel();
    try {
        co_await ended;
    } catch (const cancelled_error&) {
    }
}

}  // namespace

TEST(capacity_limiter, lets_no_more_in_than_it_has_tokens_in_the_order_of_arrival) {
    auto main = []() -> coro<> {
        capacity_limiter limit(2);
        int inside = 0;
        std::vector<int> order;
        auto work = [&](int number) -> coro<> {
            const auto token = co_await limit.scoped();
            order.push_back(number);
            EXPECT_LE(++inside, 2);
            co_await sleep(0s);
            --inside;
        };
        co_await gather(work(1), work(2), work(3), work(4), work(5));
        EXPECT_THAT(order, ElementsAre(1, 2, 3, 4, 5));
        EXPECT_EQ(limit.borrowed_tokens(), 0U);
        EXPECT_EQ(limit.available_tokens(), 2U);
    };
    run(main());
}

TEST(capacity_limiter, with_more_tokens_lets_in_those_who_wait_in_their_order) {
    auto main = []() -> coro<> {
        capacity_limiter limit(1);
        borrowers all(limit);
        std::vector<task<>> tasks;
        for (int i = 1; i <= 5; ++i) tasks.push_back(all.add(i));
        EXPECT_THAT(all.order, ElementsAre(1));
        limit.set_total_tokens(3);
        EXPECT_EQ(limit.borrowed_tokens(), 3U);  // at once: nobody who comes now can overtake
        co_await all.reached(3);
        EXPECT_THAT(all.order, ElementsAre(1, 2, 3));
        limit.set_total_tokens(10);
        co_await all.reached(5);
        EXPECT_THAT(all.order, ElementsAre(1, 2, 3, 4, 5));
        EXPECT_EQ(limit.available_tokens(), 5U);
        all.may_go.set();
        for (const task<>& each : tasks) co_await each;
        EXPECT_EQ(limit.borrowed_tokens(), 0U);
    };
    run(main());
}

TEST(capacity_limiter, with_fewer_tokens_than_are_out_lets_nobody_in_until_enough_came_back) {
    auto main = []() -> coro<> {
        capacity_limiter limit(3);
        borrowers first(limit);
        const task<> one = first.add(1);
        const task<> two = first.add(2);
        const task<> three = first.add(3);
        limit.set_total_tokens(1);
        EXPECT_EQ(limit.borrowed_tokens(), 3U);
        EXPECT_EQ(limit.available_tokens(), 0U);
        borrowers later(limit);
        const task<> four = later.add(4);
        later.may_go.set();
        co_await end_cancelled(one);
        co_await end_cancelled(two);
        EXPECT_EQ(limit.borrowed_tokens(), 1U);
        EXPECT_TRUE(later.order.empty());
        three.cancel();
        co_await four;
        EXPECT_THAT(later.order, ElementsAre(4));
    };
    run(main());
}

TEST(capacity_limiter, gives_a_task_one_token_and_takes_back_no_other) {
    auto main = []() -> coro<> {
        capacity_limiter limit(2);
        EXPECT_THROW(limit.release(), invalid_state_error);
        co_await limit.acquire();
        EXPECT_THROW(limit.try_acquire(), invalid_state_error);
        std::string text;
        try {
            co_await limit.acquire();
        } catch (const invalid_state_error& error) {
            text = error.what();
        }
        EXPECT_EQ(text, "capacity_limiter: main has a token already; a task borrows one at most");
        auto other = [&]() -> coro<> {
            EXPECT_THROW(limit.release(), invalid_state_error);
            EXPECT_TRUE(limit.try_acquire());
            EXPECT_EQ(limit.borrowed_tokens(), 2U);
            limit.release();
            co_return;
        };
        task<> stranger = create_task(other());
        co_await stranger;
        limit.release();
        EXPECT_EQ(limit.borrowed_tokens(), 0U);
    };
    run(main());
    capacity_limiter outside(1);
    EXPECT_THROW(outside.try_acquire(), invalid_state_error);
    EXPECT_THROW(outside.release(), invalid_state_error);
}

TEST(capacity_limiter, without_tokens_is_refused) {
    EXPECT_THROW(capacity_limiter(0), std::invalid_argument);
    capacity_limiter limit(1);
    EXPECT_THROW(limit.set_total_tokens(0), std::invalid_argument);
    EXPECT_EQ(limit.total_tokens(), 1U);
}

TEST(capacity_limiter, a_cancelled_wait_takes_no_token) {
    auto main = []() -> coro<> {
        capacity_limiter limit(1);
        borrowers all(limit);
        const task<> one = all.add(1);
        const task<> two = all.add(2);
        const task<> three = all.add(3);
        two.cancel();
        one.cancel();
        all.may_go.set();
        co_await three;
        EXPECT_THAT(all.order, ElementsAre(1, 3));
        EXPECT_EQ(limit.borrowed_tokens(), 0U);
    };
    run(main());
}

TEST(capacity_limiter, bounds_calls_in_threads) {
    auto main = []() -> coro<> {
        capacity_limiter limit(2);
        std::atomic<int> inside = 0;
        std::atomic<int> most = 0;
        auto call = [&] {
            const int now = ++inside;
            for (int seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {
            }
            std::this_thread::yield();
            --inside;
        };
        std::vector<coro<>> calls;
        for (int i = 0; i < 20; ++i) calls.push_back(to_thread({.limiter = &limit}, call));
        co_await gather(std::move(calls));
        EXPECT_LE(most, 2);
        EXPECT_EQ(limit.borrowed_tokens(), 0U);
    };
    run(main());
}

TEST(capacity_limiter, has_the_token_of_an_abandoned_call_back_when_that_has_ended) {
    std::latch gate(1);
    auto main = [&]() -> coro<> {
        capacity_limiter limit(1);
        event begun;
        auto call = [&] {
            from_thread::run_sync([&] { begun.set(); });
            gate.wait();
        };
        auto work = [&]() -> coro<> { co_await to_thread({.abandon_on_cancel = true, .limiter = &limit}, call); };
        const task<> waiting = create_task(work());
        co_await begun.wait();
        waiting.cancel();
        bool is_cancelled = false;
        try {
            co_await waiting;
        } catch (const cancelled_error&) {
            is_cancelled = true;
        }
        EXPECT_TRUE(is_cancelled);
        EXPECT_EQ(limit.borrowed_tokens(), 1U);
        gate.count_down();
        co_await limit.acquire();  // when the call has ended
        limit.release();
    };
    run(main());
}

TEST(capacity_limiter, gives_back_the_token_of_a_call_that_fails_and_passes_the_error_on) {
    auto main = []() -> coro<> {
        capacity_limiter limit(1);
        auto call = []() -> int { throw std::runtime_error("in the thread"); };
        for (const bool is_abandoned : {false, true}) {
            std::string text;
            try {
                co_await to_thread({.abandon_on_cancel = is_abandoned, .limiter = &limit}, call);
            } catch (const std::runtime_error& error) {
                text = error.what();
            }
            EXPECT_EQ(text, "in the thread");
            EXPECT_EQ(limit.borrowed_tokens(), 0U);
        }
    };
    run(main());
}
