#include <tercet/multiprocessing.hpp>

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <mutex>
#include <thread>
#include <vector>

#include "forked_child.hpp"

namespace tercet::multiprocessing {
namespace {

using namespace std::chrono_literals;

template <class Lock>
class each_lock : public testing::Test {};
using locks = testing::Types<lock, rlock>;
TYPED_TEST_SUITE(each_lock, locks);

TYPED_TEST(each_lock, keeps_processes_apart_and_loses_no_count) {
    const TypeParam door;
    const shared_array<long> count(1);
    std::vector<forked_child> children;
    for (int i = 0; i < 4; ++i)
        children.emplace_back([&] {
            for (int k = 0; k < 25'000; ++k) {
                const std::lock_guard inside(door);
                const volatile long before = count[0];
                count[0] = before + 1;
            }
            return 0;
        });
    for (auto& each : children) EXPECT_EQ(each.wait(), 0);
    EXPECT_EQ(count[0], 100'000);
    EXPECT_FALSE(door.locked());
}

TYPED_TEST(each_lock, of_a_killed_owner_goes_to_the_next_who_is_told) {
    const TypeParam door;
    forked_child owner([&]() -> int {
        door.acquire();
        die();
    });
    EXPECT_EQ(owner.wait(), -SIGKILL);
    EXPECT_TRUE(door.locked());
    EXPECT_FALSE(door.owner_died());
    ASSERT_TRUE(door.try_lock());
    EXPECT_TRUE(door.owner_died());
    door.release();
    const std::lock_guard inside(door);
    EXPECT_FALSE(door.owner_died());
}

TYPED_TEST(each_lock, that_was_not_mended_hands_the_mark_on) {
    const TypeParam door;
    for (int i = 0; i < 3; ++i) {
        forked_child owner([&]() -> int {
            door.acquire();
            if (i > 0 && !door.owner_died()) return 1;
            die();
        });
        EXPECT_EQ(owner.wait(), -SIGKILL) << i;
    }
    ASSERT_TRUE(door.acquire(10s));
    EXPECT_TRUE(door.owner_died());
    door.release();
}

TYPED_TEST(each_lock, whose_owner_is_killed_wakes_who_waits_for_it) {
    for (const bool has_limit : {false, true}) {
        const TypeParam door;
        const event taken;
        forked_child owner([&] {
            door.acquire();
            taken.set();
            ::pause();
            return 0;
        });
        taken.wait();
        forked_child waiter([&] {
            const bool is_mine = has_limit ? door.acquire(60s) : door.acquire();
            const bool is_told = door.owner_died();
            door.release();
            return is_mine && is_told ? 7 : 0;
        });
        waiter.until_asleep();
        owner.kill();
        EXPECT_EQ(waiter.wait(), 7);
    }
}

TYPED_TEST(each_lock, of_a_thread_that_has_ended_goes_to_the_next) {
    const TypeParam door;
    std::thread([&] { door.acquire(); }).join();
    ASSERT_TRUE(door.acquire(10s));
    EXPECT_TRUE(door.owner_died());
    door.release();
}

TYPED_TEST(each_lock, waits_no_longer_than_its_limit_whatever_signals_come) {
    struct sigaction counting {};
    counting.sa_handler = [](int) {};
    ::sigaction(SIGUSR1, &counting, nullptr);
    const TypeParam door;
    const event taken;
    forked_child owner([&] {
        door.acquire();
        taken.set();
        for (;;) ::kill(::getppid(), SIGUSR1);
        return 0;
    });
    taken.wait();
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_FALSE(door.acquire(50ms));
    EXPECT_GE(std::chrono::steady_clock::now() - begin, 50ms);
    EXPECT_FALSE(door.try_lock());
    std::unique_lock inside(door, std::defer_lock);
    EXPECT_FALSE(inside.try_lock_for(1ms));
    EXPECT_FALSE(inside.try_lock_until(std::chrono::system_clock::now()));
    EXPECT_THROW(door.acquire(-1s), std::invalid_argument);
}

TYPED_TEST(each_lock, is_released_by_its_owner_only) {
    const TypeParam door;
    EXPECT_THROW(door.release(), invalid_state_error);
    door.acquire();
    std::thread([&] { EXPECT_THROW(door.release(), invalid_state_error); }).join();
    forked_child stranger([&] {
        try {
            door.release();
        } catch (const invalid_state_error&) {
            return door.is_owned() ? 1 : 2;
        }
        return 0;
    });
    EXPECT_EQ(stranger.wait(), 2);
    EXPECT_TRUE(door.is_owned());
    door.release();
    EXPECT_THROW(door.release(), invalid_state_error);
}

TYPED_TEST(each_lock, that_is_dropped_while_it_is_held_harms_no_other) {
    TypeParam dropped;
    const TypeParam kept;
    forked_child owner([&]() -> int {
        dropped.acquire();
        kept.acquire();
        dropped = TypeParam();
        die();
    });
    EXPECT_EQ(owner.wait(), -SIGKILL);
    EXPECT_TRUE(kept.acquire(10s));
    EXPECT_TRUE(dropped.acquire(10s));
    kept.release();
    dropped.release();
}

TYPED_TEST(each_lock, sent_to_workers_is_the_same_lock_there) {
    process_pool_executor pool(1);
    const TypeParam door;
    const auto try_it = [](TypeParam received) {
        const bool is_mine = received.try_lock();
        if (is_mine) received.release();
        return is_mine;
    };
    EXPECT_TRUE(pool.submit(try_it, door).result());
    door.acquire();
    EXPECT_FALSE(pool.submit(try_it, door).result());
    const TypeParam back = pool.submit([](TypeParam received) { return received; }, door).result();
    EXPECT_TRUE(back.is_owned());
    back.release();
    EXPECT_TRUE(pool.submit(try_it, door).result());
    auto killed = pool.submit(
        [](TypeParam received) {
            received.acquire();
            ::raise(SIGKILL);
        },
        door);
    EXPECT_THROW(killed.result(), worker_died);
    ASSERT_TRUE(door.acquire(10s));
    EXPECT_TRUE(door.owner_died());
    door.release();
}

TEST(lock, is_not_waited_for_by_who_has_it) {
    const lock door;
    door.acquire();
    EXPECT_FALSE(door.try_lock());
    EXPECT_THROW(door.acquire(), invalid_state_error);
    EXPECT_EQ(door.recursion_count(), 1U);
    door.release();
}

TEST(rlock, is_free_when_it_was_released_as_often_as_it_was_taken) {
    const rlock door;
    const auto is_free = [&] {
        return forked_child([&] {
                   const bool is_mine = door.try_lock();
                   if (is_mine) door.release();
                   return is_mine ? 1 : 0;
               }).wait() == 1;
    };
    door.acquire();
    door.acquire();
    EXPECT_EQ(door.recursion_count(), 2U);
    door.release();
    EXPECT_FALSE(is_free());
    door.release();
    EXPECT_TRUE(is_free());
}

TEST(rlock, of_an_owner_killed_deep_inside_is_taken_once) {
    const rlock door;
    forked_child([&]() -> int {
        for (int i = 0; i < 3; ++i) door.acquire();
        die();
    }).wait();
    ASSERT_TRUE(door.acquire(10s));
    EXPECT_EQ(door.recursion_count(), 1U);
    door.release();
    EXPECT_FALSE(door.locked());
}

TEST(lock, is_not_taken_for_something_else) {
    const lock door;
    encoder out;
    encode(out, door);
    auto descriptors = out.take_descriptors();
    decoder in(out.buffer().bytes(), descriptors);
    EXPECT_THROW(decode<event>(in), decode_error);
}

TEST(lock, leaves_no_descriptor_behind) {
    const auto before = open_fds();
    for (int i = 0; i < 100; ++i) {
        const lock door;
        const lock copy = door;
        const std::lock_guard inside(copy);
    }
    EXPECT_EQ(open_fds(), before);
}

}  // namespace
}  // namespace tercet::multiprocessing
