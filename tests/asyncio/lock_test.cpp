#include <tercet/asyncio.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using tercet::cancelled_error;
using tercet::invalid_state_error;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

coro<> turns(int count) {
    for (int i = 0; i < count; ++i) co_await sleep(0s);
}

/// The text of the `invalid_state_error` with which `work` ends, "" when it ends without.
coro<std::string> error_of(coro<> work) {
    try {
        co_await std::move(work);
    } catch (const invalid_state_error& error) {
        co_return error.what();
    }
    co_return "";
}

}  // namespace

TEST(lock, goes_to_the_next_when_a_waiter_is_cancelled_as_it_is_released) {
    auto main = []() -> coro<> {
        lock mutex;
        std::vector<char> holders;
        auto hold = [&](char name) -> coro<> {
            const auto guard = co_await mutex.scoped();
            holders.push_back(name);
            co_await sleep(0s);
        };
        co_await mutex.acquire();
        task<> b = create_task(hold('B'));
        task<> c = create_task(hold('C'));
        co_await turns(1);
        b.cancel();
        mutex.release();
        co_await c;
        EXPECT_THAT(holders, ElementsAre('C'));
        EXPECT_FALSE(mutex.locked());
    };
    run(main());
}

TEST(lock, is_kept_by_one_to_whom_it_was_handed_before_the_cancellation_and_comes_back) {
    auto main = []() -> coro<> {
        lock mutex;
        std::vector<char> holders;
        auto hold = [&](char name) -> coro<> {
            const auto guard = co_await mutex.scoped();
            holders.push_back(name);
            co_await sleep(0s);
        };
        co_await mutex.acquire();
        task<> b = create_task(hold('B'));
        task<> c = create_task(hold('C'));
        co_await turns(1);
        mutex.release();
        b.cancel();
        co_await c;
        EXPECT_THAT(holders, ElementsAre('B', 'C'));
        EXPECT_TRUE(b.cancelled());
        EXPECT_FALSE(mutex.locked());
    };
    run(main());
}

TEST(lock, serves_in_the_order_of_arrival_and_a_newcomer_does_not_overtake) {
    auto main = []() -> coro<> {
        lock mutex;
        std::vector<int> order;
        auto work = [&](int number) -> coro<> {
            for (int i = 0; i < 2; ++i) {
                const auto guard = co_await mutex.scoped();
                order.push_back(number);
            }
        };
        co_await mutex.acquire();
        std::vector<task<>> workers;
        for (int i = 1; i <= 3; ++i) workers.push_back(create_task(work(i)));
        co_await turns(1);
        mutex.release();
        EXPECT_TRUE(mutex.locked());
        EXPECT_FALSE(mutex.try_acquire());
        for (const task<>& each : workers) co_await each;
        EXPECT_THAT(order, ElementsAre(1, 2, 3, 1, 2, 3));
    };
    run(main());
}

TEST(lock, release_of_a_free_one_is_an_error) {
    auto main = []() -> coro<> {
        lock mutex;
        EXPECT_THROW(mutex.release(), invalid_state_error);
        EXPECT_FALSE(mutex.locked());
        EXPECT_TRUE(mutex.try_acquire());
        EXPECT_FALSE(mutex.try_acquire());
        mutex.release();
        EXPECT_THROW(mutex.release(), invalid_state_error);
        co_return;
    };
    run(main());
}

TEST(lock, belongs_to_a_task_and_another_one_or_a_callback_cannot_release_it) {
    auto main = []() -> coro<> {
        lock mutex;
        current_task().set_name("owner");
        co_await mutex.acquire();
        EXPECT_EQ(mutex.owner_name(), "owner");
        auto release = [&]() -> coro<> {
            mutex.release();
            co_return;
        };
        task<std::string> other = create_task(error_of(release()), {.name = "thief"});
        const std::string text = co_await other;
        EXPECT_EQ(text, "lock: release by thief, but owner holds it");
        bool was_refused = false;
        get_running_loop().call_soon([&] {
            EXPECT_THROW(mutex.release(), invalid_state_error);
            EXPECT_THROW(mutex.try_acquire(), invalid_state_error);
            was_refused = true;
        });
        co_await turns(2);
        EXPECT_TRUE(was_refused);
        EXPECT_TRUE(mutex.locked());
        mutex.release();
        EXPECT_EQ(mutex.owner_name(), "");
    };
    run(main());
    lock outside;
    EXPECT_THROW(outside.try_acquire(), invalid_state_error);
}

TEST(lock, a_second_acquire_by_the_same_task_is_an_error_and_no_deadlock) {
    auto main = []() -> coro<> {
        lock mutex;
        const auto guard = co_await mutex.scoped();
        auto again = [&]() -> coro<> { co_await mutex.acquire(); };
        const std::string text = co_await error_of(again());
        EXPECT_THAT(text, HasSubstr("has it already"));
        EXPECT_TRUE(mutex.locked());
    };
    run(main());
}

TEST(lock, whose_owner_ended_without_releasing_it_gives_those_who_wait_and_come_an_error_that_names_it) {
    auto main = []() -> coro<> {
        lock mutex;
        event end;
        auto forget = [&]() -> coro<> {
            co_await mutex.acquire();
            co_await end.wait();
        };
        auto want = [&]() -> coro<> { co_await mutex.acquire(); };
        task<> owner = create_task(forget(), {.name = "forgetful"});
        task<std::string> first = create_task(error_of(want()));
        task<std::string> second = create_task(error_of(want()));
        co_await turns(1);
        end.set();
        co_await owner;
        const std::string text = co_await first;
        EXPECT_EQ(text, "lock: forgetful ended without releasing it");
        const std::string same = co_await second;
        EXPECT_EQ(same, text);
        const std::string later = co_await error_of(want());
        EXPECT_EQ(later, text);
        EXPECT_THROW(mutex.try_acquire(), invalid_state_error);
        EXPECT_THROW(mutex.release(), invalid_state_error);
    };
    run(main());
}

TEST(lock, may_go_before_its_owner) {
    auto main = []() -> coro<> {
        {
            lock mutex;
            co_await mutex.acquire();
        }
        co_await turns(1);
    };
    run(main());
}

TEST(lock, a_guard_releases_when_an_exception_passes_and_moves_within_the_task) {
    auto main = []() -> coro<> {
        lock mutex;
        auto fail = [&]() -> coro<> {
            auto guard = co_await mutex.scoped();
            const auto moved = std::move(guard);
            EXPECT_TRUE(mutex.locked());
            throw invalid_state_error("inside");
        };
        const std::string text = co_await error_of(fail());
        EXPECT_EQ(text, "inside");
        EXPECT_FALSE(mutex.locked());
        auto first = co_await mutex.scoped();
        lock other;
        first = co_await other.scoped();  // swaps: the first lock is released with the temporary
        EXPECT_FALSE(mutex.locked());
        EXPECT_TRUE(other.locked());
    };
    run(main());
}

TEST(lock, many_tasks_with_cancellations_at_random_never_are_inside_together_and_none_is_forgotten) {
    auto main = []() -> coro<> {
        lock mutex;
        int inside = 0;
        int passed = 0;
        auto work = [&](unsigned seed) -> coro<> {
            for (int i = 0; i < 20; ++i) {
                const auto guard = co_await mutex.scoped();
                EXPECT_EQ(++inside, 1);
                if ((seed = seed * 1103515245U + 12345U) >> 16U & 1U) {
                    try {
                        co_await sleep(0s);
                    } catch (const cancelled_error&) {
                        --inside;
                        throw;
                    }
                }
                --inside;
            }
            ++passed;
        };
        for (unsigned round = 1; round <= 20; ++round) {
            std::vector<task<>> workers;
            for (unsigned i = 0; i < 10; ++i) workers.push_back(create_task(work(round * 100 + i)));
            unsigned random = round;
            for (int i = 0; i < 5; ++i) {
                random = random * 1103515245U + 12345U;
                co_await turns(static_cast<int>(random >> 16U) % 30);
                workers[(random >> 20U) % 10].cancel();
            }
            for (const task<>& each : workers) {
                try {
                    co_await each;
                } catch (const cancelled_error&) {
                }
            }
            EXPECT_FALSE(mutex.locked());
            EXPECT_EQ(inside, 0);
        }
        EXPECT_GT(passed, 0);
        EXPECT_LT(passed, 200);
    };
    run(main());
}
