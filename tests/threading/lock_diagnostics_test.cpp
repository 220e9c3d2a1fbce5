#include <tercet/futures/errors.hpp>
#include <tercet/threading/lock.hpp>
#include <tercet/threading/lock_diagnostics.hpp>
#include <tercet/threading/rlock.hpp>
#include <tercet/threading/thread_ident.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <latch>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using namespace tercet::threading;
using testing::HasSubstr;

std::optional<held_lock> find(const void* address) {
    for (auto& each : held_locks())
        if (each.address == address) return each;
    return std::nullopt;
}

TEST(lock_diagnostics, nothing_is_listed_without_them) {
    if (has_lock_diagnostics) GTEST_SKIP() << "built with them";
    lock door;
    const std::lock_guard guard(door);
    EXPECT_TRUE(held_locks().empty());
    EXPECT_TRUE(deadlock_report().empty());
}

TEST(lock_diagnostics, a_held_lock_is_listed_with_owner_and_site_until_it_is_released) {
    if (!has_lock_diagnostics) GTEST_SKIP() << "built without them";
    lock door;
    door.acquire();
    const auto line = std::source_location::current().line() - 1;
    const auto found = find(&door);
    ASSERT_TRUE(found);
    EXPECT_STREQ(found->kind, "lock");
    EXPECT_EQ(found->owner, get_ident());
    EXPECT_EQ(found->native_owner, get_native_id());
    EXPECT_EQ(found->site.line(), line);
    EXPECT_THAT(found->site.file_name(), HasSubstr("lock_diagnostics_test.cpp"));
    EXPECT_THAT(deadlock_report(), HasSubstr("lock_diagnostics_test.cpp"));
    door.release();
    EXPECT_FALSE(find(&door));
}

TEST(lock_diagnostics, an_rlock_is_listed_once_however_often_it_is_held) {
    if (!has_lock_diagnostics) GTEST_SKIP() << "built without them";
    rlock door;
    door.acquire();
    door.acquire();
    EXPECT_STREQ(find(&door).value().kind, "rlock");
    EXPECT_EQ(std::ranges::count(held_locks(), static_cast<const void*>(&door), &held_lock::address), 1);
    door.release();
    EXPECT_TRUE(find(&door));
    door.release();
    EXPECT_FALSE(find(&door));
}

TEST(lock_diagnostics, a_lock_whose_owner_has_ended_or_that_another_releases_is_kept_in_order) {
    if (!has_lock_diagnostics) GTEST_SKIP() << "built without them";
    lock door;
    std::uint64_t owner = 0;
    std::thread([&] {
        owner = get_ident();
        door.acquire();
    }).join();
    EXPECT_EQ(find(&door).value().owner, owner);
    door.release();
    EXPECT_FALSE(find(&door));
    {
        lock gone;
        gone.acquire();
    }
    EXPECT_TRUE(held_locks().empty());
}

TEST(lock_diagnostics, threads_that_wait_for_each_other_are_told_as_a_cycle) {
    if (!has_lock_diagnostics) GTEST_SKIP() << "built without them";
    lock a;
    lock b;
    std::latch both(2);
    auto cross = [&](lock& first, lock& second) {
        first.acquire();
        both.arrive_and_wait();
        second.acquire();
        second.release();
        if (first.locked()) first.release();
    };
    std::thread one(cross, std::ref(a), std::ref(b));
    std::thread two(cross, std::ref(b), std::ref(a));
    std::string report;
    while ((report = deadlock_report()).find("deadlock:") == std::string::npos) std::this_thread::yield();
    EXPECT_THAT(report, HasSubstr("nobody can go on"));
    const auto held = find(&a);
    ASSERT_TRUE(held);
    EXPECT_EQ(held->waiters.size(), 1U);
    EXPECT_GT(held->waiters.front().site.line(), 0U);
    a.release();  // what only a debugger would do: the second thread goes on
    two.join();
    one.join();
    EXPECT_TRUE(held_locks().empty());
}

/// What `take`, which throws, says.
template <class Take>
std::string text_of(Take take) {
    try {
        take();
    } catch (const tercet::invalid_state_error& error) {
        return error.what();
    }
    return "nothing was thrown";
}

template <class Lock>
class locks_without_owner : public testing::Test {};
using both_locks = testing::Types<lock, rlock>;
TYPED_TEST_SUITE(locks_without_owner, both_locks, );

TYPED_TEST(locks_without_owner, who_comes_for_a_lock_whose_owner_has_ended_is_told_who_that_was) {
    if (!has_lock_diagnostics) GTEST_SKIP() << "built without them: it waits for ever";
    TypeParam door;
    std::uint64_t owner = 0;
    std::thread([&] {
        owner = get_ident();
        door.acquire();
    }).join();
    const auto text = text_of([&] { door.acquire(); });
    EXPECT_THAT(text, HasSubstr("thread " + std::to_string(owner) + " (native id "));
    EXPECT_THAT(text, HasSubstr("lock_diagnostics_test.cpp"));
    EXPECT_THAT(text, HasSubstr("has ended without releasing it"));
    EXPECT_THAT(text_of([&] { const std::lock_guard guard(door); }), HasSubstr("has ended"));
    EXPECT_THAT(text_of([&] { door.try_lock_for(1h); }), HasSubstr("has ended"));
    EXPECT_TRUE(door.locked());
    door.at_fork_reinit();
    EXPECT_TRUE(door.acquire(0s));
    door.release();
}

TYPED_TEST(locks_without_owner, those_who_wait_when_the_owner_ends_are_told) {
    if (!has_lock_diagnostics) GTEST_SKIP() << "built without them: they wait for ever";
    TypeParam door;
    std::latch is_held(1);
    std::thread owner([&] {
        door.acquire();
        is_held.count_down();
        while (find(&door).value().waiters.size() != 3) std::this_thread::yield();
    });
    is_held.wait();
    std::vector<std::jthread> waiters;
    for (int i = 0; i < 3; ++i)
        waiters.emplace_back([&] { EXPECT_THAT(text_of([&] { door.acquire(); }), HasSubstr("has ended")); });
    owner.join();
    waiters.clear();
    door.at_fork_reinit();
}

TYPED_TEST(locks_without_owner, many_who_come_at_once_are_all_told) {
    if (!has_lock_diagnostics) GTEST_SKIP() << "built without them: they wait for ever";
    TypeParam door;
    std::thread([&] { door.acquire(); }).join();
    std::atomic<int> told = 0;
    {
        std::vector<std::jthread> comers;
        for (int i = 0; i < 4; ++i)
            comers.emplace_back([&] {
                for (int round = 0; round < 5'000; ++round)
                    if (text_of([&] { door.acquire(10s); }) != "nothing was thrown") ++told;
            });
    }
    EXPECT_EQ(told, 20'000);
    door.at_fork_reinit();
}

TEST(lock_diagnostics, a_lock_whose_owner_has_ended_may_be_released_by_another_thread) {
    if (!has_lock_diagnostics) GTEST_SKIP() << "built without them";
    lock door;
    std::thread([&] { door.acquire(); }).join();
    EXPECT_FALSE(door.try_lock());
    door.release();
    EXPECT_TRUE(door.acquire(0s));
    door.release();
}

}  // namespace
