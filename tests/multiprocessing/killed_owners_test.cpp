// Processes are killed at any moment of what they do with what is shared; the others must go on.

#include <tercet/multiprocessing.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "forked_child.hpp"

namespace tercet::multiprocessing {
namespace {

using namespace std::chrono_literals;

/// Kills children at random moments, `rounds` times, while `work` runs in three of them; `check` runs here meanwhile
/// and says whether all is well.
template <class Work, class Check>
void kill_at_random(int rounds, Work work, Check check) {
    std::minstd_rand random(7);
    std::vector<forked_child> children;
    const auto start = [&] {
        children.emplace_back([&]() -> int {
            for (;;) work();
        });
    };
    for (int i = 0; i < 3; ++i) start();
    for (int round = 0; round < rounds; ++round) {
        const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(random() % 2'000);
        while (std::chrono::steady_clock::now() < until) std::this_thread::yield();
        children.front().kill();
        children.erase(children.begin());
        start();
        ASSERT_TRUE(check()) << "round " << round;
    }
}

TEST(killed_owners, leave_their_lock_to_others) {
    const lock door;
    const shared_array<long> both(2);
    const auto add = [&] {
        if (door.owner_died()) both[1] = both[0];
        if (both[0] != both[1]) return false;
        ++both[0];
        const volatile long between = both[0];
        both[1] = between;
        return true;
    };
    kill_at_random(
        150,
        [&] {
            const std::lock_guard inside(door);
            while (!add()) ::pause();
        },
        [&] {
            if (!door.acquire(20s)) return false;
            const bool is_whole = add();
            door.release();
            return is_whole;
        });
}

TEST(killed_owners, leave_no_free_permit_unseen) {
    const semaphore permits(0);
    kill_at_random(
        150, [&] { permits.release(); },
        [&] {
            // More come all the time, so each of these ends.
            for (int i = 0; i < 10; ++i)
                if (!permits.acquire(20s)) return false;
            return true;
        });
}

TEST(killed_owners, do_not_take_the_notifications_of_others) {
    const condition ready;
    const semaphore waiting(0);
    const semaphore awake(0);
    std::vector<forked_child> children;
    const auto start = [&] {
        children.emplace_back([&]() -> int {
            for (;;) {
                {
                    const std::lock_guard inside(ready);
                    waiting.release();
                    ready.wait();
                }
                awake.release();
            }
        });
        // Who has said so has the lock until it waits.
        ASSERT_TRUE(waiting.acquire(20s));
    };
    for (int i = 0; i < 3; ++i) start();
    for (int round = 0; round < 50; ++round) {
        {
            const std::lock_guard inside(ready);  // all wait now
        }
        children.front().kill();
        children.erase(children.begin());
        {
            const std::lock_guard inside(ready);
            ready.notify();
        }
        ASSERT_TRUE(awake.acquire(20s)) << "round " << round;
        ASSERT_TRUE(waiting.acquire(20s));
        start();
    }
}

TEST(killed_owners, leave_an_event_that_works) {
    const event flag;
    kill_at_random(
        150,
        [&] {
            flag.set();
            flag.clear();
        },
        [&] { return flag.wait(20s); });
}

TEST(killed_owners, leave_a_barrier_that_can_be_mended) {
    const barrier meeting(2);
    kill_at_random(
        150,
        [&] {
            try {
                meeting.wait(5ms);
            } catch (const broken_barrier_error&) {
                meeting.reset();
            }
        },
        [&] {
            const auto until = std::chrono::steady_clock::now() + 20s;
            while (std::chrono::steady_clock::now() < until) {
                try {
                    meeting.wait(20s);
                    return true;
                } catch (const broken_barrier_error&) {
                    meeting.reset();
                }
            }
            return false;
        });
}

}  // namespace
}  // namespace tercet::multiprocessing
