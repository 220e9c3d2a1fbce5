#include <tercet/futures/chunk_size.hpp>
#include <tercet/futures/map_results.hpp>

#include <gtest/gtest.h>

#include <limits>

namespace {

using namespace std::chrono_literals;
using namespace tercet;

constexpr std::size_t endless = std::numeric_limits<std::size_t>::max();

/// As if chunks of items that cost that much were done, until nothing changes.
void settle(chunk_size& sizes, std::chrono::nanoseconds cost) {
    for (int i = 0; i < 20; ++i) {
        const std::size_t count = sizes.next(endless);
        sizes.done(count, cost * static_cast<long>(count));
    }
}

TEST(chunk_size, begins_with_one_item_and_room_for_sixty_four) {
    const chunk_size sizes({}, 2);
    EXPECT_EQ(sizes.next(endless), 1U);
    EXPECT_EQ(sizes.buffer_size(), 64U);
    EXPECT_EQ(chunk_size({}, 100).buffer_size(), 400U);
}

TEST(chunk_size, makes_chunks_that_take_fifty_to_a_hundred_microseconds) {
    for (const auto cost : {100ns, 1'000ns, 7'000ns, 30'000ns}) {
        chunk_size sizes({}, 2);
        settle(sizes, cost);
        const auto takes = cost * static_cast<long>(sizes.next(endless));
        EXPECT_GE(takes, 50us) << cost.count();
        EXPECT_LE(takes, 100us) << cost.count();
        EXPECT_EQ(sizes.buffer_size(), std::max<std::size_t>(64, 8 * sizes.next(endless)));
    }
}

TEST(chunk_size, does_slow_items_one_at_a_time) {
    chunk_size sizes({}, 2);
    settle(sizes, 60us);
    EXPECT_EQ(sizes.next(endless), 1U);
    EXPECT_EQ(sizes.buffer_size(), 64U);
}

TEST(chunk_size, grows_step_by_step_and_shrinks_when_items_become_slow) {
    chunk_size sizes({}, 2);
    sizes.done(1, 1ns);
    EXPECT_EQ(sizes.next(endless), 8U);
    sizes.done(1, 1ns);
    EXPECT_EQ(sizes.next(endless), 8U);
    sizes.done(8, 8ns);
    EXPECT_EQ(sizes.next(endless), 64U);
    sizes.done(64, 64ms);
    EXPECT_EQ(sizes.next(endless), 1U);
}

TEST(chunk_size, is_no_larger_than_what_it_costs_to_hand_over_items_allows) {
    chunk_size sizes({}, 2);
    sizes.handed_over(1, 500us);  // it waited for something
    sizes.handed_over(1, 10us);   // a large item
    settle(sizes, 10ns);
    EXPECT_EQ(sizes.next(endless), 7U);
}

TEST(chunk_size, leaves_something_for_all_workers_near_the_end) {
    chunk_size sizes({}, 4);
    settle(sizes, 10ns);
    EXPECT_EQ(sizes.next(1'600), 100U);
    EXPECT_EQ(sizes.next(160), 10U);
    EXPECT_EQ(sizes.next(3), 1U);
}

TEST(chunk_size, is_no_larger_than_a_part_of_a_buffer_that_was_given) {
    chunk_size sizes({.buffer_size = 80}, 2);
    settle(sizes, 10ns);
    EXPECT_EQ(sizes.next(endless), 10U);
    EXPECT_EQ(sizes.buffer_size(), 80U);
    chunk_size small({.buffer_size = 1}, 2);
    settle(small, 10ns);
    EXPECT_EQ(small.next(endless), 1U);
}

TEST(chunk_size, is_what_the_options_say_but_no_more_than_the_buffer) {
    chunk_size sizes({.chunk_size = 100}, 2);
    settle(sizes, 1s);
    EXPECT_EQ(sizes.next(endless), 100U);
    EXPECT_EQ(sizes.next(1), 100U);
    EXPECT_EQ(sizes.buffer_size(), 800U);
    EXPECT_EQ(chunk_size({.chunk_size = 100, .buffer_size = 30}, 2).next(endless), 30U);
}

}  // namespace
