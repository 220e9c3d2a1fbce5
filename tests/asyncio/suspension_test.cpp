// The one rule of every wait: it is over by its value or by a cancellation, whichever comes first, and nothing is lost.
// The same two tests for each kind of wait there is.

#include <tercet/asyncio.hpp>

#include <gtest/gtest.h>

#include "asyncio/leaves.hpp"
#include "asyncio/system_leaves.hpp"

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using namespace leaves;
using tercet::cancelled_error;

namespace {

template <class Leaf>
class every_wait : public testing::Test {};

using every_leaf =
    testing::Types<sleep_leaf, event_leaf, semaphore_leaf, permit_leaf, bounded_semaphore_leaf, capacity_limiter_leaf,
                   token_leaf, channel_receive_leaf, channel_next_leaf, channel_send_leaf<0>, channel_send_leaf<1>,
                   lock_leaf, guard_leaf, condition_leaf, barrier_leaf, get_leaf<queue>, get_leaf<lifo_queue>,
                   get_leaf<by_priority>, next_leaf, put_leaf<queue>, put_leaf<lifo_queue>, put_leaf<by_priority>,
                   join_leaf, thread_get_leaf, thread_next_leaf, thread_put_leaf, task_leaf, wait_leaf,
                   as_completed_leaf, timeout_leaf, task_group_leaf, start_leaf, gather_leaf, future_leaf,
                   joined_future_leaf, read_leaf, readable_leaf, read_some_leaf, drain_leaf, wait_closed_leaf,
                   server_closed_leaf, signal_leaf, subprocess_leaf, descriptor_leaf, receive_from_leaf,
                   receive_into_leaf, send_datagram_leaf, blocking_leaf>;
TYPED_TEST_SUITE(every_wait, every_leaf);

coro<> wait_and_note(leaf& waited, bool& is_delivered, bool& next_wait_threw) {
    co_await waited.wait();
    is_delivered = true;
    try {
        co_await sleep(1h);
    } catch (const cancelled_error&) {
        next_wait_threw = true;
        throw;
    }
}

coro<> join(task<> ended) {
    try {
        co_await ended;
    } catch (const cancelled_error&) {
    }
}

}  // namespace

TYPED_TEST(every_wait, that_completed_delivers_although_it_is_cancelled_in_the_same_turn) {
    auto main = []() -> coro<> {
        TypeParam waited;
        co_await waited.set_up();
        bool is_delivered = false;
        bool next_wait_threw = false;
        task<> waiter = create_task(wait_and_note(waited, is_delivered, next_wait_threw));
        for (int i = 0; i < 5; ++i) co_await sleep(0s);
        EXPECT_FALSE(is_delivered);
        waited.complete([&] {
            EXPECT_FALSE(is_delivered);
            waiter.cancel();
        });
        co_await join(waiter);
        EXPECT_TRUE(is_delivered);
        EXPECT_TRUE(next_wait_threw);
        EXPECT_TRUE(waiter.cancelled());
        co_await waited.tear_down();
    };
    run(main());
}

TYPED_TEST(every_wait, that_was_cancelled_takes_nothing_although_it_completes_in_the_same_turn) {
    auto main = []() -> coro<> {
        TypeParam waited;
        co_await waited.set_up();
        bool is_delivered = false;
        bool next_wait_threw = false;
        task<> waiter = create_task(wait_and_note(waited, is_delivered, next_wait_threw));
        for (int i = 0; i < 5; ++i) co_await sleep(0s);
        waiter.cancel();
        waited.cancelled();
        waited.complete([] {});
        co_await join(waiter);
        EXPECT_FALSE(is_delivered);
        EXPECT_TRUE(waiter.cancelled());
        const bool is_left = co_await waited.is_left();
        EXPECT_TRUE(is_left);
    };
    run(main());
}

TYPED_TEST(every_wait, in_a_task_that_is_cancelled_already_takes_nothing) {
    auto main = []() -> coro<> {
        TypeParam waited;
        co_await waited.set_up();
        bool is_delivered = false;
        bool next_wait_threw = false;
        task<> waiter = create_task(wait_and_note(waited, is_delivered, next_wait_threw));
        waiter.cancel();
        co_await join(waiter);
        EXPECT_FALSE(is_delivered);
        waited.complete([] {});
        const bool is_left = co_await waited.is_left();
        EXPECT_TRUE(is_left);
    };
    run(main());
}
