#include <tercet/asyncio.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using testing::ElementsAre;

namespace {

coro<> turns(int count) {
    for (int i = 0; i < count; ++i) co_await sleep(0s);
}

}  // namespace

TEST(priority_queue, gives_the_smallest_first_and_equal_ones_in_the_order_in_which_they_came) {
    using job = std::pair<int, int>;
    struct by_first {
        bool operator()(const job& a, const job& b) const { return a.first < b.first; }
    };
    priority_queue<job, by_first> items(1'000);
    unsigned random = 1;
    int put = 0;
    for (int round = 0; round < 10; ++round) {
        for (int i = 0; i < 100; ++i)
            items.put_nowait({static_cast<int>((random = random * 1103515245U + 12345U) >> 16U) % 10, put++});
        job last{-1, -1};
        for (int i = 0; i < 50; ++i) {
            const job next = items.get_nowait();
            EXPECT_LT(last, next);
            last = next;
        }
    }
    job last{-1, -1};
    while (auto next = items.try_get()) {
        EXPECT_LT(last, *next);
        last = *next;
    }
    priority_queue<int, std::greater<>> largest(3);
    for (const int i : {1, 3, 2}) largest.put_nowait(i);
    EXPECT_EQ(largest.get_nowait(), 3);
}

TEST(priority_queue, a_comparison_that_throws_fails_the_call_for_which_it_was_made_and_changes_nothing) {
    static bool is_failing = false;
    struct fragile {
        bool operator()(int a, int b) const {
            if (is_failing) throw std::runtime_error("cannot compare");
            return a < b;
        }
    };
    auto main = []() -> coro<> {
        priority_queue<int, fragile> items(3);
        for (const int i : {3, 1, 2}) items.put_nowait(i);
        std::string put_error;
        auto put = [&]() -> coro<> {
            try {
                co_await items.put(0);
            } catch (const std::runtime_error& error) {
                put_error = error.what();
            }
        };
        task<> putter = create_task(put());
        co_await turns(1);
        is_failing = true;
        std::string get_error;
        try {
            co_await items.get();
        } catch (const std::runtime_error& error) {
            get_error = error.what();
        }
        EXPECT_EQ(get_error, "cannot compare");
        EXPECT_THROW(items.get_nowait(), std::runtime_error);
        EXPECT_EQ(items.qsize(), 3U);
        EXPECT_EQ(put_error, "");
        is_failing = false;
        EXPECT_EQ(items.get_nowait(), 1);  // lets the 0 in
        co_await putter;
        EXPECT_EQ(put_error, "");
        task<> second = create_task(put());
        co_await turns(1);
        items.set_maxsize(4);
        co_await second;
        for (const int i : {0, 0, 2, 3}) EXPECT_EQ(items.get_nowait(), i);
        items.put_nowait(1);
        is_failing = true;
        co_await put();
        EXPECT_EQ(put_error, "cannot compare");
        EXPECT_EQ(items.qsize(), 1U);
        is_failing = false;
    };
    run(main());
}

TEST(priority_queue, a_put_that_waits_gets_the_error_of_its_comparison_not_the_one_who_made_room) {
    static int poison = -1;
    struct fragile {
        bool operator()(int a, int b) const {
            if (a == poison || b == poison) throw std::runtime_error("cannot compare");
            return a < b;
        }
    };
    auto main = []() -> coro<> {
        priority_queue<int, fragile> items(2);
        items.put_nowait(1);
        items.put_nowait(2);
        std::vector<int> put;
        std::string error_text;
        auto bad = [&]() -> coro<> {
            try {
                co_await items.put(-1);
            } catch (const std::runtime_error& error) {
                error_text = error.what();
            }
        };
        create_task(bad());
        auto good = [&]() -> coro<> {
            co_await items.put(3);
            put.push_back(3);
        };
        create_task(good());
        co_await turns(1);
        EXPECT_EQ(items.get_nowait(), 1);
        co_await turns(1);
        EXPECT_EQ(error_text, "cannot compare");
        EXPECT_THAT(put, ElementsAre(3));
        EXPECT_EQ(items.get_nowait(), 2);
        EXPECT_EQ(items.get_nowait(), 3);
    };
    run(main());
}
