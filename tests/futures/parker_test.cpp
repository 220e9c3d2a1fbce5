#include <tercet/futures/parker.hpp>

#include <gtest/gtest.h>
#include <pthread.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <thread>

namespace {

using namespace std::chrono_literals;
using clock_type = std::chrono::steady_clock;

TEST(parker, an_unpark_that_came_first_is_not_lost) {
    tercet::parker place;
    place.unpark();
    EXPECT_TRUE(place.park(clock_type::time_point::max()));
}

TEST(parker, one_unpark_lets_one_park_pass) {
    tercet::parker place;
    place.unpark();
    place.unpark();
    EXPECT_TRUE(place.park(clock_type::now()));
    EXPECT_FALSE(place.park(clock_type::now()));
}

TEST(parker, returns_at_the_deadline_and_not_before) {
    tercet::parker place;
    const auto start = clock_type::now();
    EXPECT_FALSE(place.park(start + 20ms));
    EXPECT_GE(clock_type::now(), start + 20ms);
}

TEST(parker, wakes_a_thread_that_sleeps) {
    tercet::parker place;
    std::atomic<bool> woke{false};
    std::thread sleeper([&] {
        place.park(clock_type::time_point::max());
        woke = true;
    });
    place.unpark();
    sleeper.join();
    EXPECT_TRUE(woke);
}

void ignore_signal(int) {}

TEST(parker, a_storm_of_signals_neither_ends_nor_extends_the_wait) {
    struct sigaction handler {};
    struct sigaction before {};
    handler.sa_handler = &ignore_signal;  // without SA_RESTART: each one interrupts the system call
    ::sigaction(SIGUSR1, &handler, &before);

    tercet::parker place;
    std::atomic<bool> is_over{false};
    clock_type::duration waited{};
    bool came = true;
    std::thread sleeper([&] {
        const auto start = clock_type::now();
        came = place.park(start + 100ms);
        waited = clock_type::now() - start;
        is_over = true;
    });
    while (!is_over) ::pthread_kill(sleeper.native_handle(), SIGUSR1);
    sleeper.join();
    ::sigaction(SIGUSR1, &before, nullptr);
    EXPECT_FALSE(came);
    EXPECT_GE(waited, 100ms);
    EXPECT_LT(waited, 2s);
}

TEST(parker, may_be_destroyed_as_soon_as_park_returns) {
    for (int i = 0; i < 2000; ++i) {
        auto* place = new tercet::parker;
        std::thread waker([place] { place->unpark(); });
        place->park(clock_type::time_point::max());
        delete place;  // unpark may still be on its way out; it may only use the address as a name by now
        waker.join();
    }
}

TEST(parker, what_happened_before_any_unpark_is_seen_after_park) {
    // Two unparks may meet one park; the second one's work must not be missed, or the last round never ends.
    constexpr int rounds = 20'000;
    tercet::parker place;
    std::atomic<int> produced{0};
    std::thread producer([&] {
        for (int i = 0; i < rounds; ++i) {
            produced.store(i + 1, std::memory_order_relaxed);
            place.unpark();
        }
    });
    int seen = 0;
    while (seen < rounds) {
        const int now = produced.load(std::memory_order_relaxed);
        if (now == seen) {
            ASSERT_TRUE(place.park(clock_type::now() + 20s)) << "a wake-up was lost after " << seen;
        }
        seen = now;
    }
    producer.join();
}

}  // namespace
