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

/// `work`, which has gone as far as it can: its wait has begun.
task<> begun(coro<> work) { return create_task(std::move(work), {.eager_start = true}); }

coro<bool> ends_cancelled(task<> ended) {
    try {
        co_await ended;
    } catch (const cancelled_error&) {
        co_return true;
    }
    co_return false;
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

TEST(condition, notify_wakes_as_many_as_asked_the_longest_waiting_first) {
    auto main = []() -> coro<> {
        condition changed;
        std::vector<int> order;
        auto work = [&](int number) -> coro<> {
            const auto guard = co_await changed.scoped();
            co_await changed.wait();
            EXPECT_TRUE(changed.locked());
            order.push_back(number);
        };
        std::vector<task<>> waiters;
        for (int i = 1; i <= 5; ++i) waiters.push_back(begun(work(i)));
        co_await changed.acquire();
        changed.notify(3);
        changed.release();
        co_await waiters[2];
        EXPECT_THAT(order, ElementsAre(1, 2, 3));
        co_await changed.acquire();  // nobody waits for the lock, so nobody else was notified
        changed.notify_all();
        EXPECT_THAT(order, ElementsAre(1, 2, 3));
        changed.release();
        co_await waiters[4];
        EXPECT_THAT(order, ElementsAre(1, 2, 3, 4, 5));
        EXPECT_FALSE(changed.locked());
    };
    run(main());
}

TEST(condition, a_notification_when_nobody_waits_is_gone) {
    auto main = []() -> coro<> {
        condition changed;
        co_await changed.acquire();
        changed.notify_all();
        changed.release();
        bool has_passed = false;
        auto work = [&]() -> coro<> {
            const auto guard = co_await changed.scoped();
            co_await changed.wait();
            has_passed = true;
        };
        task<> waiting = begun(work());
        co_await changed.acquire();  // so it waits
        changed.release();
        waiting.cancel();
        const bool is_cancelled = co_await ends_cancelled(waiting);
        EXPECT_TRUE(is_cancelled);
        EXPECT_FALSE(has_passed);
    };
    run(main());
}

TEST(condition, wait_and_notify_without_the_lock_are_errors) {
    auto main = []() -> coro<> {
        condition changed;
        auto wait = [&]() -> coro<> { co_await changed.wait(); };
        const std::string text = co_await error_of(wait());
        EXPECT_THAT(text, HasSubstr("without the lock"));
        EXPECT_THROW(changed.notify(), invalid_state_error);
        EXPECT_THROW(changed.notify_all(), invalid_state_error);
        event go;
        auto hold = [&]() -> coro<> {
            const auto guard = co_await changed.scoped();
            co_await go.wait();
        };
        task<> other = begun(hold());
        EXPECT_TRUE(changed.locked());
        EXPECT_THROW(changed.notify(), invalid_state_error);
        const std::string same = co_await error_of(wait());
        EXPECT_EQ(same, text);
        go.set();
        co_await other;
    };
    run(main());
    condition outside;
    EXPECT_THROW(outside.notify(), invalid_state_error);
}

TEST(condition, wait_for_returns_when_the_predicate_is_true_and_throws_what_it_throws) {
    auto main = []() -> coro<> {
        condition changed;
        event has_looked;
        int value = 0;
        int seen = 0;
        auto consume = [&]() -> coro<> {
            const auto guard = co_await changed.scoped();
            auto is_three = [&] {
                has_looked.set();
                return value == 3;
            };
            co_await changed.wait_for(is_three);
            EXPECT_TRUE(changed.locked());
            seen = value;
        };
        task<> consumer = create_task(consume());
        for (int i = 0; i < 3; ++i) {
            co_await has_looked.wait();
            has_looked.clear();
            EXPECT_EQ(seen, 0);
            const auto guard = co_await changed.scoped();
            ++value;
            changed.notify();
        }
        co_await consumer;
        EXPECT_EQ(seen, 3);
        auto refuse = [&]() -> coro<> {
            const auto guard = co_await changed.scoped();
            auto fail = []() -> bool { throw invalid_state_error("from the predicate"); };
            co_await changed.wait_for(fail);
        };
        const std::string text = co_await error_of(refuse());
        EXPECT_EQ(text, "from the predicate");
        EXPECT_FALSE(changed.locked());
    };
    run(main());
}

TEST(condition, a_cancelled_wait_has_the_lock_again_before_it_throws_however_long_that_takes) {
    auto main = []() -> coro<> {
        condition changed;
        bool has_thrown = false;
        auto work = [&]() -> coro<> {
            const auto guard = co_await changed.scoped();
            try {
                co_await changed.wait();
            } catch (const cancelled_error&) {
                has_thrown = true;
                EXPECT_EQ(changed.locked(), true);
                changed.notify();  // an error unless the lock is ours
                throw;
            }
        };
        task<> waiting = begun(work());
        co_await changed.acquire();
        waiting.cancel();
        waiting.cancel();
        co_await sleep(0s);  // everybody who is ready has run
        EXPECT_FALSE(has_thrown);
        EXPECT_FALSE(waiting.done());
        changed.release();
        try {
            co_await waiting;
            ADD_FAILURE();
        } catch (const cancelled_error&) {
        }
        EXPECT_TRUE(has_thrown);
        EXPECT_FALSE(changed.locked());
    };
    run(main());
}

TEST(condition, a_cancelled_wait_has_a_free_lock_again_at_once) {
    auto main = []() -> coro<> {
        condition changed;
        auto work = [&]() -> coro<> {
            const auto guard = co_await changed.scoped();
            co_await changed.wait();
        };
        task<> waiting = begun(work());
        EXPECT_FALSE(changed.locked());
        waiting.cancel();
        EXPECT_TRUE(changed.locked());
        EXPECT_FALSE(changed.try_acquire());
        const bool is_cancelled = co_await ends_cancelled(waiting);
        EXPECT_TRUE(is_cancelled);
        EXPECT_FALSE(changed.locked());
    };
    run(main());
}

TEST(condition, a_cancelled_wait_takes_no_notification_from_others) {
    auto main = []() -> coro<> {
        condition changed;
        std::vector<int> passed;
        auto work = [&](int number) -> coro<> {
            const auto guard = co_await changed.scoped();
            co_await changed.wait();
            passed.push_back(number);
        };
        task<> first = begun(work(1));
        task<> second = begun(work(2));
        co_await changed.acquire();
        first.cancel();
        changed.notify();
        changed.release();
        co_await second;
        EXPECT_THAT(passed, ElementsAre(2));
        EXPECT_TRUE(first.cancelled());
    };
    run(main());
}

TEST(condition, a_wait_that_was_notified_before_the_cancellation_returns_and_the_next_one_throws) {
    auto main = []() -> coro<> {
        condition changed;
        bool has_passed = false;
        bool has_thrown = false;
        auto work = [&]() -> coro<> {
            const auto guard = co_await changed.scoped();
            co_await changed.wait();
            has_passed = true;
            try {
                co_await changed.wait();
            } catch (const cancelled_error&) {
                has_thrown = true;
                changed.notify();  // an error unless the lock is still ours
            }
        };
        task<> waiting = begun(work());
        co_await changed.acquire();
        changed.notify();
        waiting.cancel();
        co_await sleep(0s);  // everybody who is ready has run
        EXPECT_FALSE(has_passed);
        changed.release();
        co_await waiting;
        EXPECT_TRUE(has_passed);
        EXPECT_TRUE(has_thrown);
    };
    run(main());
}

TEST(condition, a_time_limit_ends_a_wait_with_the_lock_held) {
    auto main = []() -> coro<> {
        condition changed;
        const auto guard = co_await changed.scoped();
        auto wait = [&]() -> coro<> { co_await changed.wait(); };
        bool is_late = false;
        try {
            co_await timeout(1ms, wait());
        } catch (const tercet::timeout_error&) {
            is_late = true;
        }
        EXPECT_TRUE(is_late);
        changed.notify();  // an error unless the lock is ours
    };
    run(main());
}

TEST(condition, two_share_a_lock) {
    auto main = []() -> coro<> {
        lock mutex;
        condition not_empty(mutex);
        condition not_full(mutex);
        std::vector<int> items;
        std::vector<int> taken;
        auto consume = [&]() -> coro<> {
            for (int i = 0; i < 6; ++i) {
                const auto guard = co_await mutex.scoped();
                while (items.empty()) co_await not_empty.wait();
                taken.push_back(items.front());
                items.erase(items.begin());
                not_full.notify();
            }
        };
        task<> consumer = create_task(consume());
        for (int i = 0; i < 6; ++i) {
            const auto guard = co_await mutex.scoped();
            while (items.size() == 2) co_await not_full.wait();
            items.push_back(i);
            not_empty.notify();
        }
        co_await consumer;
        EXPECT_THAT(taken, ElementsAre(0, 1, 2, 3, 4, 5));
    };
    run(main());
}

TEST(condition, whose_lock_was_abandoned_says_so) {
    auto main = []() -> coro<> {
        condition changed;
        event end;
        auto work = [&]() -> coro<> {
            const auto guard = co_await changed.scoped();
            co_await changed.wait();
        };
        auto forget = [&]() -> coro<> {
            co_await changed.acquire();
            changed.notify();
            co_await end.wait();
        };
        task<std::string> waiting = create_task(error_of(work()), {.eager_start = true});
        task<> owner = create_task(forget(), {.name = "forgetful", .eager_start = true});
        end.set();
        co_await owner;
        const std::string text = co_await waiting;
        EXPECT_EQ(text, "lock: forgetful ended without releasing it");
    };
    run(main());
}
