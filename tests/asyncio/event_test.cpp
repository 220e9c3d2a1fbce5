#include <tercet/asyncio.hpp>

#include <gtest/gtest.h>

using namespace std::chrono_literals;
using namespace tercet::asyncio;

namespace {

coro<> turns(int count) {
    for (int i = 0; i < count; ++i) co_await sleep(0s);
}

}  // namespace

TEST(event, set_and_cleared_at_once_lets_everyone_pass_who_waited) {
    auto main = []() -> coro<> {
        event flag;
        int passed = 0;
        auto work = [&]() -> coro<> {
            co_await flag.wait();
            ++passed;
        };
        for (int i = 0; i < 5; ++i) create_task(work());
        co_await turns(1);
        flag.set();
        flag.clear();
        create_task(work());
        co_await turns(2);
        EXPECT_EQ(passed, 5);
        EXPECT_FALSE(flag.is_set());
    };
    run(main());
}

TEST(event, that_is_set_lets_pass_at_once_until_it_is_cleared) {
    auto main = []() -> coro<> {
        event flag;
        EXPECT_FALSE(flag.is_set());
        flag.set();
        flag.set();
        co_await flag.wait();
        EXPECT_TRUE(flag.is_set());
        flag.clear();
        int passed = 0;
        auto work = [&]() -> coro<> {
            co_await flag.wait();
            ++passed;
        };
        task<> waiting = create_task(work());
        co_await turns(3);
        EXPECT_EQ(passed, 0);
        flag.set();
        EXPECT_EQ(passed, 0);
        co_await waiting;
        EXPECT_EQ(passed, 1);
    };
    run(main());
}

TEST(event, one_who_is_cancelled_does_not_hold_back_the_others) {
    auto main = []() -> coro<> {
        event flag;
        int passed = 0;
        auto work = [&]() -> coro<> {
            co_await flag.wait();
            ++passed;
        };
        task<> first = create_task(work());
        task<> second = create_task(work());
        task<> third = create_task(work());
        co_await turns(1);
        second.cancel();
        flag.set();
        co_await first;
        co_await third;
        EXPECT_EQ(passed, 2);
        EXPECT_TRUE(second.cancelled());
    };
    run(main());
}
