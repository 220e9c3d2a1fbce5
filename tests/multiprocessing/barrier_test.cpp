#include <tercet/multiprocessing.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <stdexcept>
#include <vector>

#include "forked_child.hpp"

namespace tercet::multiprocessing {
namespace {

using namespace std::chrono_literals;

/// Waits and returns whether the barrier was broken: 1, or not: 0.
int is_broken_for(const barrier& meeting) {
    try {
        meeting.wait(60s);
        return 0;
    } catch (const broken_barrier_error&) {
        return 1;
    }
}

TEST(barrier, gives_each_party_of_a_round_another_number) {
    constexpr int parties = 4;
    constexpr int rounds = 10;
    const barrier meeting(parties);
    const shared_array<int> visits(rounds * parties);
    std::vector<forked_child> children;
    for (int i = 0; i < parties; ++i)
        children.emplace_back([&] {
            for (std::size_t round = 0; round < rounds; ++round) {
                const std::size_t index = meeting.wait(60s);
                ++visits[round * parties + index];
            }
            return 0;
        });
    for (auto& each : children) EXPECT_EQ(each.wait(), 0);
    for (const int each : visits) EXPECT_EQ(each, 1);
}

TEST(barrier, is_passed_a_thousand_times) {
    const barrier meeting(3);
    const shared_array<int> rounds(3);
    std::vector<forked_child> children;
    for (std::size_t i = 0; i < 3; ++i)
        children.emplace_back([&, i] {
            for (int round = 1; round <= 1'000; ++round) {
                rounds[i] = round;
                meeting.wait(60s);
                for (const int each : rounds)
                    if (each != round) return 1;
                meeting.wait(60s);
            }
            return 0;
        });
    for (auto& each : children) EXPECT_EQ(each.wait(), 0);
    EXPECT_EQ(meeting.n_waiting(), 0U);
}

TEST(barrier, whose_limit_passes_is_broken_for_all_until_reset) {
    const barrier meeting(3, 20ms);
    forked_child other([&] { return is_broken_for(meeting); });
    other.until_asleep();
    EXPECT_EQ(meeting.n_waiting(), 1U);
    EXPECT_THROW(meeting.wait(), broken_barrier_error);
    EXPECT_EQ(other.wait(), 1);
    EXPECT_TRUE(meeting.broken());
    EXPECT_THROW(meeting.wait(), broken_barrier_error);
    meeting.reset();
    EXPECT_FALSE(meeting.broken());
}

TEST(barrier, abort_and_reset_send_away_who_waits) {
    const barrier meeting(2);
    for (const bool is_abort : {true, false}) {
        forked_child other([&] { return is_broken_for(meeting); });
        other.until_asleep();
        is_abort ? meeting.abort() : meeting.reset();
        EXPECT_EQ(other.wait(), 1);
        EXPECT_EQ(meeting.broken(), is_abort);
        meeting.reset();
    }
    forked_child other([&] { return is_broken_for(meeting); });
    EXPECT_LT(meeting.wait(60s), 2U);
    EXPECT_EQ(other.wait(), 0);
}

TEST(barrier, a_party_that_was_killed_while_it_waited_breaks_it) {
    const barrier meeting(3);
    forked_child killed([&] { return is_broken_for(meeting); });
    killed.until_asleep();
    forked_child waits([&] { return is_broken_for(meeting); });
    waits.until_asleep();
    killed.kill();
    EXPECT_THROW(meeting.wait(60s), broken_barrier_error);
    EXPECT_EQ(waits.wait(), 1);
    meeting.reset();
    std::vector<forked_child> others;
    for (int i = 0; i < 2; ++i) others.emplace_back([&] { return is_broken_for(meeting); });
    EXPECT_LT(meeting.wait(60s), 3U);
    for (auto& each : others) EXPECT_EQ(each.wait(), 0);
}

TEST(barrier, sent_to_a_worker_is_the_same_there) {
    process_pool_executor pool(2);
    const barrier meeting(3);
    const auto meet = [](barrier received) { return received.wait(60s); };
    auto first = pool.submit(meet, meeting);
    auto second = pool.submit(meet, meeting);
    EXPECT_EQ(meeting.wait(60s) + first.result() + second.result(), 3U);
    EXPECT_THROW(barrier(0), std::invalid_argument);
    EXPECT_EQ(meeting.parties(), 3U);
}

}  // namespace
}  // namespace tercet::multiprocessing
