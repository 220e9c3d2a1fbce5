#include <tercet/threading/barrier.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <latch>
#include <mutex>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using tercet::broken_barrier_error;
using tercet::threading::barrier;

/// Runs `body` in `count` threads and waits for them.
template <class Body>
void in_threads(std::size_t count, Body body) {
    std::vector<std::jthread> threads;
    for (std::size_t t = 0; t < count; ++t) threads.emplace_back(body);
}

void until_waiting(const barrier& gate, std::size_t count) {
    while (gate.n_waiting() != count) std::this_thread::yield();
}

TEST(barrier, ten_passes_give_each_party_another_number_each_time) {
    constexpr std::size_t parties = 5;
    barrier gate(parties);
    std::mutex mutex;
    std::vector<std::vector<std::size_t>> numbers(10);
    in_threads(parties, [&] {
        for (auto& round : numbers) {
            const std::size_t mine = gate.wait();
            const std::lock_guard guard(mutex);
            round.push_back(mine);
        }
    });
    for (auto& round : numbers) {
        std::ranges::sort(round);
        EXPECT_EQ(round, (std::vector<std::size_t>{0, 1, 2, 3, 4}));
    }
    EXPECT_EQ(gate.n_waiting(), 0U);
    EXPECT_EQ(gate.parties(), parties);
}

TEST(barrier, nobody_passes_before_all_are_there) {
    barrier gate(3);
    std::atomic<int> came{0};
    in_threads(3, [&] {
        for (int i = 1; i <= 500; ++i) {
            ++came;
            gate.wait();
            EXPECT_GE(came, 3 * i);
            gate.wait();
        }
    });
}

TEST(barrier, the_action_runs_once_a_round_before_anybody_passes) {
    int acted = 0;
    barrier gate(3, [&] { ++acted; });
    in_threads(3, [&] {
        for (int i = 1; i <= 200; ++i) {
            gate.wait();
            EXPECT_EQ(acted, 2 * i - 1);
            gate.wait();
        }
    });
    EXPECT_EQ(acted, 400);
}

TEST(barrier, an_action_that_throws_breaks_it_and_its_thread_gets_the_exception) {
    barrier gate(3, [] { throw std::logic_error("no"); });
    std::atomic<int> thrower{0};
    std::atomic<int> broken{0};
    in_threads(3, [&] {
        try {
            gate.wait();
        } catch (const std::logic_error&) {
            ++thrower;
        } catch (const broken_barrier_error&) {
            ++broken;
        }
    });
    EXPECT_EQ(thrower, 1);
    EXPECT_EQ(broken, 2);
    EXPECT_TRUE(gate.broken());
}

TEST(barrier, a_time_limit_that_passes_breaks_it_for_all) {
    barrier gate(3);
    std::jthread patient([&] { EXPECT_THROW(gate.wait(), broken_barrier_error); });
    until_waiting(gate, 1);
    EXPECT_THROW(gate.wait(10ms), broken_barrier_error);
    EXPECT_TRUE(gate.broken());
    EXPECT_THROW(gate.wait(), broken_barrier_error);
}

TEST(barrier, the_limit_of_the_barrier_counts_for_a_wait_without_one) {
    barrier gate(2, {}, 5ms);
    EXPECT_THROW(gate.wait(), broken_barrier_error);
    EXPECT_THROW(barrier(0), std::invalid_argument);
    EXPECT_THROW(gate.wait(-1s), std::invalid_argument);
}

TEST(barrier, abort_breaks_it_for_those_who_wait_and_those_who_come_until_reset) {
    barrier gate(3);
    in_threads(3, [&, first = std::make_shared<std::atomic<int>>(0)] {
        if ((*first)++ == 2) {
            until_waiting(gate, 2);
            gate.abort();
        }
        EXPECT_THROW(gate.wait(), broken_barrier_error);
    });
    EXPECT_TRUE(gate.broken());
    gate.reset();
    EXPECT_FALSE(gate.broken());
    in_threads(3, [&] { gate.wait(); });
}

TEST(barrier, reset_breaks_the_present_round_only) {
    barrier gate(3);
    {
        std::vector<std::jthread> threads;
        for (int t = 0; t < 2; ++t) threads.emplace_back([&] { EXPECT_THROW(gate.wait(), broken_barrier_error); });
        until_waiting(gate, 2);
        gate.reset();
    }
    EXPECT_FALSE(gate.broken());
    in_threads(3, [&] { gate.wait(); });
}

TEST(barrier, is_usable_again_after_abort_and_reset_by_its_own_parties) {
    barrier gate(3);
    barrier meeting(3);
    in_threads(3, [&] {
        for (int i = 0; i < 50; ++i) {
            if (meeting.wait() == 0) {
                until_waiting(gate, 2);
                gate.abort();
            } else {
                EXPECT_THROW(gate.wait(), broken_barrier_error);
            }
            if (meeting.wait() == 0) gate.reset();
            meeting.wait();
            gate.wait();
        }
    });
}

TEST(barrier, abort_while_the_action_runs_breaks_the_round) {
    std::latch acts(1);
    std::latch aborted(1);
    barrier gate(2, [&] {
        acts.count_down();
        aborted.wait();
    });
    std::jthread aborter([&] {
        acts.wait();
        gate.abort();
        aborted.count_down();
    });
    in_threads(2, [&] { EXPECT_THROW(gate.wait(), broken_barrier_error); });
    EXPECT_TRUE(gate.broken());
}

TEST(barrier, who_comes_while_the_action_runs_belongs_to_the_next_round) {
    std::latch acts(1);
    std::atomic<int> rounds{0};
    barrier gate(2, [&] {
        if (rounds++ == 0) {
            acts.count_down();
            while (gate.n_waiting() != 2) std::this_thread::yield();
        }
    });
    in_threads(4, [&] { gate.wait(); });
    EXPECT_EQ(rounds, 2);
}

TEST(barrier, one_party_passes_at_once) {
    barrier gate(1);
    EXPECT_EQ(gate.wait(), 0U);
    EXPECT_EQ(gate.wait(0s), 0U);
}

TEST(barrier, who_waits_before_the_door_while_the_action_runs_gives_up_at_its_limit_and_the_next_round_is_broken) {
    std::latch acts(1);
    std::latch door(1);
    barrier gate(2, [&] {
        acts.count_down();
        door.wait();
    });
    std::atomic<int> passed{0};
    const auto pass = [&] {
        gate.wait();
        ++passed;
    };
    {
        const std::jthread one(pass);
        const std::jthread two(pass);
        acts.wait();
        EXPECT_THROW(gate.wait(1ms), broken_barrier_error);
        EXPECT_FALSE(gate.broken());
        door.count_down();
    }
    EXPECT_EQ(passed, 2);
    EXPECT_TRUE(gate.broken());
    EXPECT_THROW(gate.wait(), broken_barrier_error);
}

}  // namespace
