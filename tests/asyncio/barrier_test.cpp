#include <tercet/asyncio.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using tercet::broken_barrier_error;
using tercet::cancelled_error;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

namespace {

coro<> turns(int count) {
    for (int i = 0; i < count; ++i) co_await sleep(0s);
}

/// Waits, and notes its number, -1 when the barrier breaks.
coro<> pass(barrier& door, std::vector<int>& numbers) {
    try {
        const std::size_t number = co_await door.wait();
        numbers.push_back(static_cast<int>(number));
    } catch (const broken_barrier_error&) {
        numbers.push_back(-1);
    }
}

}  // namespace

TEST(barrier, lets_pass_when_all_are_there_with_another_number_for_each_in_the_order_of_arrival) {
    auto main = []() -> coro<> {
        barrier door(3);
        EXPECT_EQ(door.parties(), 3U);
        for (int round = 0; round < 10; ++round) {
            std::vector<int> numbers;
            create_task(pass(door, numbers));
            create_task(pass(door, numbers));
            co_await turns(2);
            EXPECT_THAT(numbers, IsEmpty());
            EXPECT_EQ(door.n_waiting(), 2U);
            const std::size_t mine = co_await door.wait();
            EXPECT_EQ(mine, 2U);
            EXPECT_EQ(door.n_waiting(), 0U);
            co_await turns(1);
            EXPECT_THAT(numbers, ElementsAre(0, 1));
        }
    };
    run(main());
}

TEST(barrier, for_one_party_never_waits_and_for_none_is_refused) {
    auto main = []() -> coro<> {
        barrier door(1);
        const std::size_t mine = co_await door.wait();
        EXPECT_EQ(mine, 0U);
    };
    run(main());
    EXPECT_THROW(barrier(0), std::invalid_argument);
}

TEST(barrier, one_who_comes_while_a_round_leaves_waits_for_the_next) {
    auto main = []() -> coro<> {
        barrier door(2);
        std::vector<int> numbers;
        std::vector<int> later;
        create_task(pass(door, numbers));
        co_await turns(1);
        const std::size_t mine = co_await door.wait();  // the other one is ready to leave, and has not run
        EXPECT_EQ(mine, 1U);
        EXPECT_THAT(numbers, IsEmpty());
        task<> next = create_task(pass(door, later));
        co_await turns(2);
        EXPECT_THAT(numbers, ElementsAre(0));
        EXPECT_THAT(later, IsEmpty());
        EXPECT_EQ(door.n_waiting(), 1U);
        co_await door.wait();
        co_await next;
        EXPECT_THAT(later, ElementsAre(0));
    };
    run(main());
}

TEST(barrier, cancelling_one_who_waits_leaves_it_usable_and_the_numbers_without_a_gap) {
    auto main = []() -> coro<> {
        barrier door(3);
        std::vector<int> numbers;
        task<> first = create_task(pass(door, numbers));
        task<> second = create_task(pass(door, numbers));
        co_await turns(1);
        first.cancel();
        EXPECT_EQ(door.n_waiting(), 1U);
        EXPECT_FALSE(door.broken());
        task<> third = create_task(pass(door, numbers));
        co_await turns(1);
        EXPECT_EQ(door.n_waiting(), 2U);
        const std::size_t mine = co_await door.wait();
        EXPECT_EQ(mine, 2U);
        co_await second;
        co_await third;
        EXPECT_THAT(numbers, ElementsAre(0, 1));
        EXPECT_TRUE(first.cancelled());
    };
    run(main());
}

TEST(barrier, abort_breaks_it_for_those_who_wait_and_come_until_reset) {
    auto main = []() -> coro<> {
        barrier door(3);
        std::vector<int> numbers;
        create_task(pass(door, numbers));
        create_task(pass(door, numbers));
        co_await turns(1);
        door.abort();
        EXPECT_TRUE(door.broken());
        EXPECT_EQ(door.n_waiting(), 0U);
        co_await turns(1);
        EXPECT_THAT(numbers, ElementsAre(-1, -1));
        std::string text;
        try {
            co_await door.wait();
        } catch (const broken_barrier_error& error) {
            text = error.what();
        }
        EXPECT_THAT(text, HasSubstr("reset()"));
        door.reset();
        EXPECT_FALSE(door.broken());
        numbers.clear();
        create_task(pass(door, numbers));
        create_task(pass(door, numbers));
        co_await turns(1);
        co_await door.wait();
        co_await turns(1);
        EXPECT_THAT(numbers, ElementsAre(0, 1));
    };
    run(main());
}

TEST(barrier, abort_while_a_round_leaves_breaks_only_those_who_wait_for_the_next) {
    auto main = []() -> coro<> {
        barrier door(3);
        std::vector<int> leaving;
        std::vector<int> waiting;
        create_task(pass(door, leaving));
        create_task(pass(door, leaving));
        co_await turns(1);
        create_task(pass(door, waiting));
        create_task(pass(door, waiting));
        co_await door.wait();
        co_await turns(1);
        door.abort();
        co_await turns(1);
        EXPECT_THAT(leaving, ElementsAre(0, 1));
        EXPECT_THAT(waiting, ElementsAre(-1, -1));
    };
    run(main());
}

TEST(barrier, reset_sends_those_away_who_wait_and_begins_anew) {
    auto main = []() -> coro<> {
        barrier door(2);
        std::vector<int> numbers;
        create_task(pass(door, numbers));
        co_await turns(1);
        door.reset();
        EXPECT_FALSE(door.broken());
        task<> next = create_task(pass(door, numbers));
        co_await turns(1);
        EXPECT_THAT(numbers, ElementsAre(-1));
        co_await door.wait();
        co_await next;
        EXPECT_THAT(numbers, ElementsAre(-1, 0));
    };
    run(main());
}
