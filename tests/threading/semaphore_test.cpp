#include <tercet/threading/bounded_semaphore.hpp>
#include <tercet/threading/semaphore.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <limits>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using tercet::threading::bounded_semaphore;
using tercet::threading::semaphore;

template <class T>
class semaphores : public testing::Test {};
using both = testing::Types<semaphore, bounded_semaphore>;
TYPED_TEST_SUITE(semaphores, both, );

TYPED_TEST(semaphores, as_many_as_there_are_permits_are_inside) {
    TypeParam permits(3);
    std::atomic<int> inside{0};
    std::vector<std::jthread> threads;
    for (int t = 0; t < 8; ++t)
        threads.emplace_back([&] {
            for (int i = 0; i < 1'000; ++i) {
                const std::lock_guard guard(permits);
                EXPECT_LE(++inside, 3);
                --inside;
            }
        });
    threads.clear();
    EXPECT_EQ(permits.value(), 3);
}

TYPED_TEST(semaphores, acquire_gives_up_at_its_limit_and_takes_nothing) {
    TypeParam permits(1);
    EXPECT_TRUE(permits.acquire(0s));
    EXPECT_FALSE(permits.try_lock());
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_FALSE(permits.acquire(20ms));
    EXPECT_GE(std::chrono::steady_clock::now() - begin, 20ms);
    EXPECT_THROW(permits.acquire(-1s), std::invalid_argument);
    permits.release();
    EXPECT_EQ(permits.value(), 1);
}

TYPED_TEST(semaphores, negative_values_and_releases_of_nothing_are_refused) {
    EXPECT_THROW(TypeParam(-1), std::invalid_argument);
    TypeParam permits(2);
    EXPECT_THROW(permits.release(0), std::invalid_argument);
    EXPECT_THROW(permits.release(-1), std::invalid_argument);
    EXPECT_EQ(permits.value(), 2);
}

TYPED_TEST(semaphores, a_release_of_several_lets_that_many_waiters_pass) {
    TypeParam permits(3);
    for (int i = 0; i < 3; ++i) permits.acquire();
    std::atomic<int> passed{0};
    std::vector<std::jthread> threads;
    for (int t = 0; t < 3; ++t)
        threads.emplace_back([&] {
            permits.acquire();
            ++passed;
        });
    permits.release(3);
    threads.clear();
    EXPECT_EQ(passed, 3);
    EXPECT_EQ(permits.value(), 0);
}

TYPED_TEST(semaphores, a_waiter_that_gives_up_leaves_its_permit_to_the_next) {
    for (int i = 0; i < 300; ++i) {
        TypeParam permits(1);
        permits.acquire();
        bool has_one = false;
        std::thread impatient([&] { has_one = permits.acquire(std::chrono::microseconds(i)); });
        permits.release();
        impatient.join();
        EXPECT_EQ(permits.value(), has_one ? 0 : 1);
    }
}

TYPED_TEST(semaphores, may_be_destroyed_as_soon_as_the_permit_has_come) {
    for (int i = 0; i < 2'000; ++i) {
        std::optional<TypeParam> reply(std::in_place, 1);
        reply->acquire();
        std::thread giver([&] { reply->release(); });
        reply->acquire();
        reply.reset();
        giver.join();
    }
}

TEST(semaphore, more_than_can_be_counted_is_refused) {
    semaphore permits(1);
    EXPECT_THROW(permits.release(std::numeric_limits<std::ptrdiff_t>::max()), std::invalid_argument);
    EXPECT_EQ(permits.value(), 1);
    permits.release(5);
    EXPECT_EQ(permits.value(), 6);
}

TEST(bounded_semaphore, a_release_beyond_the_initial_value_throws_and_gives_back_nothing) {
    bounded_semaphore permits(3);
    EXPECT_THROW(permits.release(), std::invalid_argument);
    permits.acquire();
    permits.acquire();
    EXPECT_THROW(permits.release(3), std::invalid_argument);
    EXPECT_EQ(permits.value(), 1);
    permits.release(2);
    EXPECT_EQ(permits.value(), 3);
    EXPECT_THROW(permits.unlock(), std::invalid_argument);
}

}  // namespace
