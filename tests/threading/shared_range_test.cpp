#include <tercet/threading/shared_range.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <latch>
#include <stdexcept>
#include <thread>
#include <vector>

namespace {

using tercet::threading::shared_range;

TEST(shared_range, gives_large_portions_first_and_small_ones_at_the_end_a_grain_at_a_time) {
    shared_range range(5, 405, 10, 10, 2);
    shared_range::piece todo;
    std::size_t expected = 5;
    std::vector<std::size_t> portions;
    while (range.next(range[0], todo)) {
        EXPECT_EQ(todo.begin, expected);
        EXPECT_LE(todo.end - todo.begin, 10U);
        if (portions.empty() || range[0].end != portions.back()) portions.push_back(range[0].end);
        expected = todo.end;
    }
    EXPECT_EQ(expected, 405U);
    ASSERT_GE(portions.size(), 3U);
    EXPECT_GT(portions[1] - portions[0], portions.back() - portions[portions.size() - 2]);
}

TEST(shared_range, who_finds_nothing_takes_the_far_half_of_what_another_has_not_begun) {
    shared_range range(0, 64, 1, 1, 2);
    shared_range::portion* const thief = range.recruit();
    ASSERT_NE(thief, nullptr);
    shared_range::piece todo;
    ASSERT_TRUE(range.next(range[0], todo));
    EXPECT_EQ(todo.end, 1U);
    EXPECT_EQ(range[0].end, 16U);
    for (std::size_t expected = 16; expected < 64; ++expected) {
        ASSERT_TRUE(range.next(*thief, todo));
        EXPECT_EQ(todo.begin, expected);
    }
    ASSERT_TRUE(range.next(*thief, todo));
    EXPECT_EQ(todo.begin, 9U);
    EXPECT_EQ(range[0].end, 9U);
    std::size_t others = 1;
    while (range.next(*thief, todo)) ++others;
    EXPECT_EQ(others, 15U);  // all but the one that is begun
    EXPECT_FALSE(range.next(range[0], todo));
}

TEST(shared_range, does_not_divide_what_is_less_than_twice_the_least) {
    shared_range range(0, 40, 10, 10, 2);
    shared_range::portion* const thief = range.recruit();
    ASSERT_NE(thief, nullptr);
    shared_range::piece todo;
    ASSERT_TRUE(range.next(range[0], todo));
    range[0].end = 29;
    ASSERT_EQ(todo.end, 10U);
    while (range.next(*thief, todo) && todo.begin >= 10 && todo.end == 40) {
    }
    EXPECT_EQ(todo.begin, 10U);
    EXPECT_EQ(todo.end, 20U);
}

TEST(shared_range, near_the_end_of_a_portion_a_thread_begins_less_at_a_time) {
    shared_range range(0, 64, 64, 4, 1);
    shared_range::piece todo;
    std::vector<std::size_t> sizes;
    while (range.next(range[0], todo)) sizes.push_back(todo.end - todo.begin);
    EXPECT_EQ(sizes, (std::vector<std::size_t>{32, 16, 8, 4, 4}));
}

TEST(shared_range, has_no_more_portions_than_threads_or_than_are_of_use) {
    shared_range many(0, 1'000, 1, 1, 3);
    EXPECT_NE(many.recruit(), nullptr);
    EXPECT_NE(many.recruit(), nullptr);
    EXPECT_EQ(many.recruit(), nullptr);
    shared_range two_pieces(0, 20, 10, 10, 50);
    EXPECT_NE(two_pieces.recruit(), nullptr);
    EXPECT_EQ(two_pieces.recruit(), nullptr);
    shared_range::piece todo;
    shared_range used_up(0, 20, 10, 10, 50);
    while (used_up.next(used_up[0], todo)) {
    }
    EXPECT_EQ(used_up.recruit(), nullptr);
    shared_range empty(7, 5, 1, 1, 2);
    EXPECT_EQ(empty.recruit(), nullptr);
    EXPECT_FALSE(empty.next(empty[0], todo));
}

TEST(shared_range, begins_nothing_after_a_failure_and_keeps_the_first_one) {
    shared_range range(0, 64, 1, 1, 2);
    shared_range::portion* const other = range.recruit();
    shared_range::piece todo;
    ASSERT_TRUE(range.next(range[0], todo));
    range.fail(std::make_exception_ptr(std::runtime_error("first")));
    range.fail(std::make_exception_ptr(std::out_of_range("second")));
    EXPECT_FALSE(range.next(range[0], todo));
    EXPECT_FALSE(range.next(*other, todo));
    EXPECT_THROW(range.rethrow_failure(), std::runtime_error);
}

TEST(shared_range, threads_that_take_from_each_other_do_everything_once) {
    constexpr std::size_t threads = 4;
    for (int round = 0; round < 300; ++round) {
        std::vector<std::atomic<int>> visits(500);
        shared_range range(0, visits.size(), 3, round % 2 == 0 ? 1 : 3, threads);
        std::latch ready(threads);
        auto visit = [&](std::size_t from, std::size_t to) {
            for (std::size_t i = from; i < to; ++i) ++visits[i];
        };
        std::vector<std::jthread> all;
        for (std::size_t i = 0; i < threads; ++i)
            all.emplace_back([&, i] {
                shared_range::portion* const mine = i == 0 ? &range[0] : range.recruit();
                ready.arrive_and_wait();
                if (mine) range.do_pieces(*mine, visit);
            });
        all.clear();
        for (auto& each : visits) ASSERT_EQ(each, 1);
    }
}

}  // namespace
