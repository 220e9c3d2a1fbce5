#include <tercet/futures/as_completed.hpp>
#include <tercet/futures/shared_future.hpp>
#include <tercet/futures/wait.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <coroutine>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <vector>

namespace {

using namespace std::chrono_literals;
using namespace tercet;

static_assert(std::is_copy_constructible_v<shared_future<int>>);
static_assert(std::is_same_v<decltype(std::declval<const shared_future<int>&>().result()), const int&>);
static_assert(std::is_same_v<decltype(std::declval<shared_future<int>>().result()), int>);

int unread_errors = 0;

/// Counts errors that nobody reads while it lives.
struct unread_counter {
    unread_counter() { unread_errors = 0; }
    ~unread_counter() { set_unread_error_hook(before); }
    unread_error_hook before =
        set_unread_error_hook([](const std::exception_ptr&, std::string_view) noexcept { ++unread_errors; });
};

TEST(shared_future, all_threads_that_wait_get_the_same_result) {
    promise<std::string> given;
    auto only = given.get_future();
    const shared_future<std::string> shared = std::move(only).share();
    EXPECT_FALSE(only.valid());
    std::atomic<const std::string*> first{nullptr};
    std::vector<std::jthread> threads;
    for (int i = 0; i < 6; ++i)
        threads.emplace_back([&first, mine = shared] {
            const std::string& result = mine.result();
            EXPECT_EQ(result, "page");
            const std::string* none = nullptr;
            const bool is_first = first.compare_exchange_strong(none, &result);
            EXPECT_TRUE(is_first || none == &result);
        });
    given.set_result("page");
}

TEST(shared_future, all_threads_that_wait_get_the_error_or_the_cancellation) {
    const unread_counter counter;
    promise<int> bad;
    promise<int> dropped;
    const auto failed = bad.get_future().share();
    auto cancelled = dropped.get_future().share();
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < 4; ++i) {
            threads.emplace_back([mine = failed] { EXPECT_THROW(mine.result(), std::runtime_error); });
            threads.emplace_back([mine = cancelled] { EXPECT_THROW(mine.result(), cancelled_error); });
        }
        bad.set_exception(std::make_exception_ptr(std::runtime_error("failed")));
        EXPECT_TRUE(cancelled.cancel());
    }
    EXPECT_EQ(unread_errors, 0);
}

TEST(shared_future, threads_that_give_up_leave_it_to_the_others) {
    promise<int> given;
    const auto shared = given.get_future().share();
    std::atomic<int> gave_up{0};
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < 4; ++i) {
            threads.emplace_back([&, mine = shared] {
                for (int turn = 0; turn < 50; ++turn) EXPECT_THROW(mine.result(1us), timeout_error);
                ++gave_up;
            });
            threads.emplace_back([mine = shared] { EXPECT_EQ(mine.result(), 5); });
        }
        while (gave_up != 4) std::this_thread::yield();
        given.set_result(5);
    }
}

TEST(shared_future, calls_back_and_takes_part_in_wait_and_as_completed) {
    promise<int> given;
    promise<int> other;
    std::vector<shared_future<int>> all{given.get_future().share(), other.get_future().share()};
    all.push_back(all.front());
    int calls = 0;
    all[0].add_done_callback([&] { ++calls; });
    all[2].add_done_callback([&] { ++calls; });
    given.set_result(1);
    EXPECT_EQ(calls, 2);
    EXPECT_EQ(wait(all, {.return_when = return_when::first_completed}).done.size(), 1U);
    other.set_result(2);
    int sum = 0;
    for (auto& each : as_completed(all)) sum += each.result();
    EXPECT_EQ(sum, 3);
}

TEST(shared_future, the_result_lives_as_long_as_a_copy) {
    const auto kept = std::make_shared<int>(3);
    promise<std::shared_ptr<int>> given;
    auto first = given.get_future().share();
    auto second = first;
    given.set_result(kept);
    given = {};
    first = {};
    EXPECT_EQ(kept.use_count(), 2);
    EXPECT_EQ(*second.result(), 3);
    EXPECT_EQ(**&std::as_const(second).result(), 3);
    EXPECT_EQ(*std::move(second).result(), 3);
    second = {};
    EXPECT_EQ(kept.use_count(), 1);
}

TEST(shared_future, an_error_that_none_of_the_copies_reads_is_reported_once) {
    const unread_counter counter;
    promise<void> given;
    auto first = given.get_future().share();
    {
        const auto second = first;
        given.set_exception(std::make_exception_ptr(std::runtime_error("failed")));
    }
    EXPECT_EQ(unread_errors, 0);
    first = {};
    EXPECT_EQ(unread_errors, 1);
}

TEST(shared_future, of_nothing_is_refused) {
    EXPECT_THROW(static_cast<void>(future<int>().share()), invalid_state_error);
    EXPECT_THROW(static_cast<void>(shared_future<int>().result()), invalid_state_error);
}

/// A coroutine that nobody waits for.
struct detached {
    struct promise_type {
        detached get_return_object() { return {}; }
        std::suspend_never initial_suspend() noexcept { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() {}
        void unhandled_exception() { std::terminate(); }
    };
};

detached add_when_done(shared_future<int> waited, int& sum) {
    const int& result = co_await waited;
    sum += result;
    const int again = co_await std::move(waited);
    sum += again;
}

TEST(shared_future, many_coroutines_may_await_it) {
    promise<int> given;
    const auto shared = given.get_future().share();
    int sum = 0;
    add_when_done(shared, sum);
    add_when_done(shared, sum);
    given.set_result(10);
    EXPECT_EQ(sum, 40);
}

}  // namespace
