#include <tercet/futures/errors.hpp>
#include <tercet/threading/rlock.hpp>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <latch>
#include <mutex>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using namespace tercet;
using tercet::threading::rlock;

TEST(rlock, its_owner_may_take_it_again_and_others_wait_until_the_last_release) {
    rlock door;
    door.acquire();
    EXPECT_TRUE(door.try_lock());
    EXPECT_EQ(door.recursion_count(), 2U);
    door.release();
    EXPECT_TRUE(door.is_owned());
    std::thread([&] {
        EXPECT_TRUE(door.locked());
        EXPECT_FALSE(door.is_owned());
        EXPECT_EQ(door.recursion_count(), 0U);
        EXPECT_FALSE(door.try_lock());
        EXPECT_FALSE(door.acquire(1ms));
    }).join();
    door.release();
    EXPECT_FALSE(door.locked());
    std::thread([&] {
        EXPECT_TRUE(door.try_lock());
        door.unlock();
    }).join();
}

TEST(rlock, a_foreign_release_and_one_too_many_throw) {
    rlock door;
    EXPECT_THROW(door.release(), invalid_state_error);
    door.acquire();
    std::thread([&] { EXPECT_THROW(door.release(), invalid_state_error); }).join();
    EXPECT_TRUE(door.is_owned());
    door.release();
    EXPECT_THROW(door.release(), invalid_state_error);
}

TEST(rlock, one_thread_at_a_time_is_inside) {
    rlock door;
    int inside = 0;
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&] {
            for (int i = 0; i < 5'000; ++i) {
                const std::scoped_lock guard(door);
                const std::unique_lock again(door);
                EXPECT_EQ(++inside, 1);
                --inside;
            }
        });
}

TEST(rlock, works_with_timed_guards) {
    rlock door;
    std::unique_lock guard(door, 1ms);
    EXPECT_TRUE(guard.owns_lock());
    std::thread([&] {
        EXPECT_FALSE(door.try_lock_for(1ms));
        EXPECT_FALSE(door.try_lock_until(std::chrono::steady_clock::now()));
        EXPECT_THROW(door.acquire(-1s), std::invalid_argument);
    }).join();
}

TEST(rlock, one_held_at_fork_is_usable_in_the_child_once_it_is_reinitialised) {
    rlock door;
    std::thread([&] { door.acquire(); }).join();
    const pid_t child = ::fork();
    if (child == 0) {
        door.at_fork_reinit();
        ::_exit(door.acquire(0s) && door.recursion_count() == 1 ? 0 : 1);
    }
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    door.at_fork_reinit();
}

TEST(rlock, a_deadline_long_past_is_a_look) {
    rlock door;
    std::latch is_taken(1);
    std::latch is_seen(1);
    std::thread owner([&] {
        door.acquire();
        is_taken.count_down();
        is_seen.wait();
        door.release();
    });
    is_taken.wait();
    EXPECT_FALSE(door.try_lock_until(std::chrono::steady_clock::time_point::min()));
    EXPECT_FALSE(door.try_lock_until(std::chrono::system_clock::time_point::min()));
    is_seen.count_down();
    owner.join();
    EXPECT_TRUE(door.try_lock_until(std::chrono::steady_clock::time_point::min()));
    door.release();
}

}  // namespace
