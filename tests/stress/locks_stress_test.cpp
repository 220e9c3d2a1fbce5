#include <tercet/futures/errors.hpp>
#include <tercet/threading/barrier.hpp>
#include <tercet/threading/condition.hpp>
#include <tercet/threading/event.hpp>
#include <tercet/threading/lock.hpp>
#include <tercet/threading/rlock.hpp>
#include <tercet/threading/semaphore.hpp>

#include <gtest/gtest.h>
#include <stress/stress_run.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using namespace tercet;
using namespace tercet::threading;

/// Runs `body(number, choices)` in `count` threads.
template <class Body>
void in_threads(stress_run& run, int count, Body body) {
    std::vector<std::jthread> threads;
    for (int t = 0; t < count; ++t) threads.emplace_back([&body, t, mine = run.choices()]() mutable { body(t, mine); });
}

template <class Lock>
class locks_under_stress : public testing::Test {};
using both_locks = testing::Types<lock, rlock>;
TYPED_TEST_SUITE(locks_under_stress, both_locks, );

TYPED_TEST(locks_under_stress, one_thread_at_a_time_is_inside_however_it_came_in) {
    stress_run run;
    while (run.goes_on()) {
        TypeParam door;
        std::uint64_t inside = 0;
        std::atomic<std::uint64_t> expected{0};
        in_threads(run, 4, [&](int, auto& choices) {
            for (int i = 0; i < 300; ++i) {
                const auto way = up_to(3, choices);
                const bool is_mine = way == 0   ? door.try_lock()
                                     : way == 1 ? door.acquire(std::chrono::microseconds(up_to(20, choices)))
                                                : door.acquire();
                if (!is_mine) continue;
                const auto before = inside;
                if (up_to(50, choices) == 0) std::this_thread::yield();
                inside = before + 1;
                ++expected;
                door.release();
            }
        });
        EXPECT_EQ(inside, expected);
        EXPECT_FALSE(door.locked());
    }
}

TEST(condition_under_stress, a_buffer_between_threads_loses_nothing) {
    stress_run run;
    while (run.goes_on()) {
        auto choices = run.choices();
        lock door;
        condition has_room(door);
        condition has_items(door);
        const int most = 1 + static_cast<int>(up_to(4, choices));
        constexpr int each = 200;
        int there = 0;
        int taken = 0;
        in_threads(run, 4, [&](int number, auto& mine) {
            for (int i = 0; i < each; ++i) {
                const std::lock_guard guard(door);
                if (number % 2 == 0) {
                    while (
                        !has_room.wait_for([&] { return there < most; }, std::chrono::microseconds(up_to(90, mine)))) {
                    }
                    ++there;
                    has_items.notify();
                } else {
                    while (!has_items.wait_for([&] { return there > 0; }, std::chrono::microseconds(up_to(90, mine)))) {
                    }
                    --there;
                    ++taken;
                    has_room.notify();
                }
            }
        });
        EXPECT_EQ(there, 0);
        EXPECT_EQ(taken, 2 * each);
    }
}

TEST(semaphore_under_stress, no_permit_is_lost_or_made) {
    stress_run run;
    while (run.goes_on()) {
        auto choices = run.choices();
        const auto permits = static_cast<std::ptrdiff_t>(1 + up_to(2, choices));
        semaphore free(permits);
        std::atomic<std::ptrdiff_t> inside{0};
        in_threads(run, 5, [&](int, auto& mine) {
            for (int i = 0; i < 200; ++i) {
                const bool is_mine =
                    up_to(1, mine) == 0 ? free.acquire() : free.acquire(std::chrono::microseconds(up_to(30, mine)));
                if (!is_mine) continue;
                EXPECT_LE(++inside, permits);
                if (up_to(20, mine) == 0) std::this_thread::yield();
                --inside;
                free.release();
            }
        });
        EXPECT_EQ(free.value(), permits);
    }
}

TEST(event_under_stress, each_set_wakes_who_waits) {
    stress_run run;
    while (run.goes_on()) {
        event there;
        event back;
        in_threads(run, 2, [&](int number, auto& mine) {
            event& to_set = number == 0 ? there : back;
            event& to_wait_for = number == 0 ? back : there;
            for (int i = 0; i < 300; ++i) {
                if (number == 0) to_set.set();
                while (!to_wait_for.wait(std::chrono::microseconds(up_to(200, mine)))) {
                }
                to_wait_for.clear();
                if (number == 1) to_set.set();
            }
        });
    }
}

TEST(barrier_under_stress, all_pass_together_or_all_learn_that_it_is_broken) {
    stress_run run;
    while (run.goes_on()) {
        auto choices = run.choices();
        constexpr int parties = 3;
        std::atomic<int> acted{0};
        barrier gate(parties, [&] { ++acted; });
        const bool is_disturbed = up_to(1, choices) == 0;
        std::atomic<int> passed{0};
        std::atomic<int> learned{0};
        {
            std::jthread disturber;
            if (is_disturbed)
                disturber = std::jthread([&, mine = run.choices()]() mutable {
                    std::this_thread::sleep_for(std::chrono::microseconds(up_to(400, mine)));
                    gate.abort();
                });
            in_threads(run, parties, [&](int, auto& mine) {
                try {
                    for (int i = 0; i < 100; ++i) {
                        up_to(10, mine) == 0 ? gate.wait(10s) : gate.wait();
                        ++passed;
                    }
                } catch (const broken_barrier_error&) {
                    ++learned;
                }
            });
        }
        // It may be broken while the action runs.
        EXPECT_TRUE(passed == parties * acted || (learned == parties && passed == parties * (acted - 1)));
        EXPECT_TRUE(learned == 0 || learned == parties);
        EXPECT_TRUE(is_disturbed || (acted == 100 && learned == 0));
    }
}

}  // namespace
