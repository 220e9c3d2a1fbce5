#include <tercet/futures/errors.hpp>
#include <tercet/threading/lock.hpp>
#include <tercet/threading/thread_ident.hpp>

#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using namespace tercet;
using tercet::threading::lock;

TEST(lock, one_thread_at_a_time_is_inside) {
    lock door;
    int inside = 0;
    int passed = 0;
    std::vector<std::jthread> threads;
    for (int t = 0; t < 8; ++t)
        threads.emplace_back([&] {
            for (int i = 0; i < 5'000; ++i) {
                const std::lock_guard guard(door);
                EXPECT_EQ(++inside, 1);
                ++passed;
                --inside;
            }
        });
    threads.clear();
    EXPECT_EQ(passed, 40'000);
    EXPECT_FALSE(door.locked());
}

TEST(lock, is_one_word_without_diagnostics) {
    if (threading::has_lock_diagnostics) GTEST_SKIP() << "built with TERCET_LOCK_DIAGNOSTICS";
    EXPECT_EQ(sizeof(lock), 4U);
}

TEST(lock, works_with_every_guard_of_the_standard_library) {
    lock a;
    lock b;
    {
        const std::scoped_lock both(a, b);
        EXPECT_TRUE(a.locked());
        EXPECT_TRUE(b.locked());
    }
    std::unique_lock<lock> guard(a, std::try_to_lock);
    EXPECT_TRUE(guard.owns_lock());
    guard.unlock();
    EXPECT_TRUE(guard.try_lock_for(1ms));
    guard.unlock();
    EXPECT_TRUE(guard.try_lock_until(std::chrono::system_clock::now()));
    EXPECT_TRUE(a.locked());
}

TEST(lock, a_lock_taken_by_one_thread_may_be_released_by_another) {
    lock door;
    std::thread([&] { EXPECT_TRUE(door.acquire()); }).join();
    EXPECT_TRUE(door.locked());
    door.release();
    EXPECT_FALSE(door.locked());
    EXPECT_THROW(door.release(), invalid_state_error);
}

TEST(lock, release_of_a_free_lock_throws_and_leaves_it_free) {
    lock door;
    EXPECT_THROW(door.release(), invalid_state_error);
    EXPECT_FALSE(door.locked());
    EXPECT_TRUE(door.try_lock());
    EXPECT_FALSE(door.try_lock());
    door.unlock();
}

TEST(lock, acquire_gives_up_at_its_limit_and_does_not_take_it) {
    lock door;
    door.acquire();
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_FALSE(door.acquire(20ms));
    EXPECT_GE(std::chrono::steady_clock::now() - begin, 20ms);
    EXPECT_FALSE(door.acquire(0s));
    EXPECT_FALSE(door.try_lock_for(1ms));
    EXPECT_FALSE(door.try_lock_for(-1ms));
    EXPECT_FALSE(door.try_lock_until(std::chrono::steady_clock::now() + 1ms));
    door.release();
    EXPECT_TRUE(door.acquire(0s));
    door.release();
}

TEST(lock, a_negative_limit_is_refused) {
    lock door;
    EXPECT_THROW(door.acquire(-1s), std::invalid_argument);
    EXPECT_FALSE(door.locked());
}

TEST(lock, who_gave_up_waiting_does_not_swallow_the_wake_up_of_another) {
    lock door;
    for (int i = 0; i < 200; ++i) {
        door.acquire();
        std::thread impatient([&] {
            if (door.acquire(std::chrono::microseconds(i))) door.release();
        });
        std::thread patient([&] {
            EXPECT_TRUE(door.acquire());
            door.release();
        });
        door.release();
        impatient.join();
        patient.join();
    }
}

std::atomic<int> handled{0};

TEST(lock, a_signal_neither_ends_nor_extends_a_timed_acquire) {
    struct sigaction action {};
    struct sigaction before {};
    action.sa_handler = [](int) { ++handled; };
    ASSERT_EQ(::sigaction(SIGUSR1, &action, &before), 0);
    handled = 0;
    lock door;
    door.acquire();
    std::atomic<bool> is_over{false};
    std::chrono::steady_clock::duration took{};
    std::thread waiter([&] {
        const auto begin = std::chrono::steady_clock::now();
        EXPECT_FALSE(door.acquire(100ms));
        took = std::chrono::steady_clock::now() - begin;
        is_over = true;
    });
    while (!is_over) ::pthread_kill(waiter.native_handle(), SIGUSR1);
    waiter.join();
    ::sigaction(SIGUSR1, &before, nullptr);
    EXPECT_GT(handled, 0);
    EXPECT_GE(took, 100ms);
    EXPECT_LT(took, 5s);
}

TEST(lock, a_lock_held_at_fork_is_usable_in_the_child_once_it_is_reinitialised) {
    lock door;
    std::thread([&] { door.acquire(); }).join();
    const pid_t child = ::fork();
    if (child == 0) {
        door.at_fork_reinit();
        ::_exit(!door.locked() && door.acquire(0s) ? 0 : 1);
    }
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    EXPECT_TRUE(door.locked());
    door.release();
}

TEST(thread_ident, is_the_same_each_time_and_another_one_in_each_thread) {
    EXPECT_NE(threading::get_ident(), 0U);
    EXPECT_EQ(threading::get_ident(), threading::get_ident());
    EXPECT_EQ(threading::get_native_id(), ::gettid());
    std::set<std::uint64_t> idents{threading::get_ident()};
    for (int i = 0; i < 10; ++i) std::thread([&] { idents.insert(threading::get_ident()); }).join();
    EXPECT_EQ(idents.size(), 11U);
}

TEST(lock, a_deadline_long_past_is_a_look) {
    lock door;
    std::thread([&] { door.acquire(); }).join();
    EXPECT_FALSE(door.try_lock_until(std::chrono::steady_clock::time_point::min()));
    EXPECT_FALSE(door.try_lock_until(std::chrono::system_clock::time_point::min()));
    door.at_fork_reinit();
    EXPECT_TRUE(door.try_lock_until(std::chrono::steady_clock::time_point::min()));
    door.release();
}

}  // namespace
