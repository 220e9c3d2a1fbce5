#include <tercet/futures/future.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <coroutine>
#include <latch>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using namespace tercet;

std::exception_ptr failure(const char* text = "failed") { return std::make_exception_ptr(std::runtime_error(text)); }

TEST(future, result_waits_for_the_promise) {
    promise<int> given;
    auto taken = given.get_future();
    std::thread producer([&] { given.set_result(42); });
    EXPECT_EQ(taken.result(), 42);
    producer.join();
}

TEST(future, result_may_be_asked_for_again_and_can_be_moved_out) {
    promise<std::unique_ptr<int>> given;
    auto taken = given.get_future();
    given.set_result(std::make_unique<int>(7));
    EXPECT_EQ(*taken.result(), 7);
    EXPECT_EQ(*taken.result(), 7);
    const std::unique_ptr<int> mine = std::move(taken).result();
    EXPECT_EQ(*mine, 7);
}

TEST(future, void_has_a_result_without_a_value) {
    promise<void> given;
    auto taken = given.get_future();
    EXPECT_FALSE(taken.done());
    given.set_result();
    taken.result();
    EXPECT_TRUE(taken.done());
}

TEST(future, an_exception_keeps_its_type) {
    promise<int> given;
    auto taken = given.get_future();
    given.set_exception(std::make_exception_ptr(std::out_of_range("row 7")));
    EXPECT_THROW(taken.result(), std::out_of_range);
    EXPECT_TRUE(taken.exception() != nullptr);
}

TEST(future, exception_is_null_when_there_is_a_result) {
    promise<int> given;
    auto taken = given.get_future();
    given.set_result(1);
    EXPECT_EQ(taken.exception(), nullptr);
}

TEST(future, a_timeout_leaves_the_future_as_it_was) {
    promise<int> given;
    auto taken = given.get_future();
    EXPECT_THROW(taken.result(0s), timeout_error);
    EXPECT_THROW(taken.result(5ms), timeout_error);
    EXPECT_THROW(taken.exception(5ms), timeout_error);
    EXPECT_FALSE(taken.wait(1ms));
    given.set_result(3);
    EXPECT_EQ(taken.result(0s), 3);
}

TEST(future, a_second_result_is_refused) {
    promise<int> given;
    auto taken = given.get_future();
    given.set_result(1);
    EXPECT_THROW(given.set_result(2), invalid_state_error);
    EXPECT_THROW(given.set_exception(failure()), invalid_state_error);
    EXPECT_EQ(taken.result(), 1);
}

TEST(future, cancel_before_the_start_wins) {
    promise<int> given;
    auto taken = given.get_future();
    EXPECT_TRUE(taken.cancel());
    EXPECT_TRUE(taken.cancelled());
    EXPECT_TRUE(taken.done());
    EXPECT_FALSE(taken.cancel());
    EXPECT_FALSE(given.set_running_or_notify_cancel());
    EXPECT_THROW(given.set_result(1), invalid_state_error);
    EXPECT_THROW(taken.result(), cancelled_error);
    EXPECT_THROW(taken.exception(), cancelled_error);
}

TEST(future, running_work_is_not_cancelled) {
    promise<int> given;
    auto taken = given.get_future();
    EXPECT_TRUE(given.set_running_or_notify_cancel());
    EXPECT_TRUE(taken.running());
    EXPECT_FALSE(taken.cancel());
    given.set_result(1);
    EXPECT_FALSE(taken.running());
    EXPECT_EQ(taken.result(), 1);
}

TEST(future, cancel_wakes_a_thread_that_waits) {
    promise<int> given;
    auto taken = given.get_future();
    std::latch is_ready(1);
    std::thread waiter([&] {
        is_ready.count_down();
        EXPECT_THROW(taken.result(), cancelled_error);
    });
    is_ready.wait();
    EXPECT_TRUE(taken.cancel());
    waiter.join();
}

TEST(future, a_dropped_promise_is_an_error_not_a_hang) {
    future<int> taken;
    {
        promise<int> given;
        taken = given.get_future();
    }
    EXPECT_THROW(taken.result(), invalid_state_error);
}

TEST(future, without_a_state_every_use_says_so) {
    future<int> none;
    EXPECT_FALSE(none.valid());
    EXPECT_THROW(none.done(), invalid_state_error);
    EXPECT_THROW(none.result(), invalid_state_error);
    promise<int> given;
    auto taken = given.get_future();
    EXPECT_THROW(given.get_future(), invalid_state_error);
}

TEST(future, callbacks_run_in_order_and_at_once_when_done) {
    promise<int> given;
    auto taken = given.get_future();
    std::vector<int> order;
    taken.add_done_callback([&] { order.push_back(1); });
    taken.add_done_callback([&] { order.push_back(2); });
    EXPECT_TRUE(order.empty());
    given.set_result(0);
    taken.add_done_callback([&] { order.push_back(3); });
    EXPECT_THAT(order, testing::ElementsAre(1, 2, 3));
}

int reports = 0;

TEST(future, a_callback_that_throws_is_reported_and_the_next_one_runs) {
    reports = 0;
    const auto before = set_unread_error_hook([](const std::exception_ptr&, std::string_view) noexcept { ++reports; });
    promise<int> given;
    auto taken = given.get_future();
    bool ran = false;
    taken.add_done_callback([] { throw std::runtime_error("callback"); });
    taken.add_done_callback([&] { ran = true; });
    given.set_result(0);
    set_unread_error_hook(before);
    EXPECT_TRUE(ran);
    EXPECT_EQ(reports, 1);
}

TEST(future, a_callback_stays_when_a_wait_before_or_after_it_times_out) {
    promise<int> given;
    auto taken = given.get_future();
    std::string order;
    taken.add_done_callback([&] { order += 'a'; });
    EXPECT_FALSE(taken.wait(1ms));
    taken.add_done_callback([&] { order += 'b'; });
    EXPECT_FALSE(taken.wait(1ms));
    given.set_result(0);
    EXPECT_EQ(order, "ab");
}

TEST(future, an_error_that_nobody_reads_is_reported_once) {
    reports = 0;
    const auto before = set_unread_error_hook([](const std::exception_ptr&, std::string_view) noexcept { ++reports; });
    {
        promise<int> unread;
        static_cast<void>(unread.get_future());
        unread.set_exception(failure());
    }
    EXPECT_EQ(reports, 1);
    {
        promise<int> read;
        auto taken = read.get_future();
        read.set_exception(failure());
        EXPECT_TRUE(taken.exception() != nullptr);
    }
    EXPECT_EQ(reports, 1);
    set_unread_error_hook(before);
}

TEST(future, detach_and_finish_at_once_fire_each_continuation_exactly_once) {
    struct counted : continuation {
        counted() noexcept : continuation(&count, kind::waiter) {}
        static void count(continuation& self) noexcept { ++static_cast<counted&>(self).fired; }
        std::atomic<int> fired{0};
    };
    for (int round = 0; round < 3000; ++round) {
        promise<int> given;
        auto taken = given.get_future();
        counted first;
        counted second;
        counted third;
        ASSERT_TRUE(taken.state().attach(first));
        ASSERT_TRUE(taken.state().attach(second));
        ASSERT_TRUE(taken.state().attach(third));
        std::thread producer([&] { given.set_result(round); });
        const bool was_detached = taken.state().detach(second);
        producer.join();
        EXPECT_EQ(first.fired, 1);
        EXPECT_EQ(second.fired, was_detached ? 0 : 1);
        EXPECT_EQ(third.fired, 1);
    }
}

TEST(future, cancel_and_start_at_once_have_one_winner) {
    for (int round = 0; round < 3000; ++round) {
        promise<int> given;
        auto taken = given.get_future();
        bool started = false;
        std::thread producer([&] { started = given.set_running_or_notify_cancel(); });
        const bool cancelled = taken.cancel();
        producer.join();
        EXPECT_NE(started, cancelled);
        if (started) given.set_result(1);
    }
}

TEST(future, wait_with_a_deadline_in_the_moment_of_the_result_neither_hangs_nor_lies) {
    for (int round = 0; round < 2000; ++round) {
        promise<int> given;
        auto taken = given.get_future();
        std::thread producer([&] { given.set_result(round); });
        const bool in_time = taken.wait(std::chrono::microseconds(round % 50));
        if (in_time) {
            EXPECT_TRUE(taken.done());
        }
        producer.join();
        EXPECT_EQ(taken.result(0s), round);
    }
}

// The smallest coroutine there is: awaiting needs nothing of tercet::asyncio.
struct detached {
    struct promise_type {
        detached get_return_object() noexcept { return {}; }
        std::suspend_never initial_suspend() noexcept { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() noexcept {}
        void unhandled_exception() { throw; }
    };
};

detached await_into(future<int>& waited, int& result) {
    const int value = co_await waited;
    result = value;
}

detached await_error(future<int> waited, std::string& text) {
    try {
        co_await std::move(waited);
    } catch (const std::runtime_error& error) {
        text = error.what();
    }
}

TEST(future, any_coroutine_can_await_it) {
    promise<int> given;
    auto taken = given.get_future();
    int result = 0;
    await_into(taken, result);
    EXPECT_EQ(result, 0);
    given.set_result(5);
    EXPECT_EQ(result, 5);
    await_into(taken, result);
    EXPECT_EQ(result, 5);

    promise<int> failing;
    std::string text;
    await_error(failing.get_future(), text);
    failing.set_exception(failure("no route"));
    EXPECT_EQ(text, "no route");
}

struct owned_coroutine {
    struct promise_type {
        owned_coroutine get_return_object() noexcept {
            return {std::coroutine_handle<promise_type>::from_promise(*this)};
        }
        std::suspend_never initial_suspend() noexcept { return {}; }
        std::suspend_always final_suspend() noexcept { return {}; }
        void return_void() noexcept {}
        void unhandled_exception() { throw; }
    };
    std::coroutine_handle<promise_type> handle;
};

owned_coroutine await_owned(future<int> waited) { co_await std::move(waited); }

TEST(future, a_coroutine_that_is_destroyed_while_it_waits_is_not_resumed) {
    promise<int> given;
    auto waiting = await_owned(given.get_future());
    EXPECT_FALSE(waiting.handle.done());
    waiting.handle.destroy();
    given.set_result(1);
}

TEST(future, waiters_wake_before_callbacks_run) {
    struct noted : continuation {
        explicit noted(std::string& to) noexcept : continuation(&note, kind::waiter), order(to) {}
        static void note(continuation& self) noexcept { static_cast<noted&>(self).order += 'w'; }
        std::string& order;
    };
    promise<int> given;
    auto taken = given.get_future();
    std::string order;
    noted waiter(order);
    taken.add_done_callback([&] { order += 'c'; });
    ASSERT_TRUE(taken.state().attach(waiter));
    given.set_result(1);
    EXPECT_EQ(order, "wc");
}

struct noisy_failure : std::runtime_error {
    explicit noisy_failure(std::shared_ptr<int> held) : std::runtime_error("noisy"), alive(std::move(held)) {}
    std::shared_ptr<int> alive;
};

TEST(future, its_error_goes_with_it_though_the_producer_is_still_there) {
    auto alive = std::make_shared<int>();
    promise<int> given;
    {
        auto taken = given.get_future();
        given.set_exception(std::make_exception_ptr(noisy_failure(alive)));
        EXPECT_THROW(taken.result(), noisy_failure);
        EXPECT_EQ(alive.use_count(), 2);
    }
    EXPECT_EQ(alive.use_count(), 1);
}

TEST(future, many_threads_give_up_waiting_for_one_state_and_none_is_lost) {
    auto* const raw = new future_state<int>(2);
    state_pointer<future_state<int>> state(raw);
    struct flag : continuation {
        flag()
            : continuation([](continuation& self) noexcept { static_cast<flag&>(self).has_fired = true; },
                           continuation::kind::waiter) {}
        std::atomic<bool> has_fired{false};
    };
    flag always;
    ASSERT_TRUE(raw->attach(always));
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([raw] {
            for (int i = 0; i < 2'000; ++i) {
                flag mine;
                ASSERT_TRUE(raw->attach(mine));
                ASSERT_TRUE(raw->detach(mine));
            }
        });
    threads.clear();
    ASSERT_TRUE(raw->start());
    raw->emplace(1);
    raw->finish();
    EXPECT_TRUE(always.has_fired);
    raw->release();
}

TEST(future, a_state_says_whether_it_failed_without_a_look_at_its_error) {
    promise<int> bad;
    auto failed = bad.get_future();
    EXPECT_FALSE(failed.state().has_failed());
    bad.set_exception(failure());
    EXPECT_TRUE(failed.state().has_failed());
    static_cast<void>(failed.exception());
    promise<int> good;
    auto fine = good.get_future();
    good.set_result(1);
    EXPECT_FALSE(fine.state().has_failed());
    promise<int> dropped;
    auto cancelled = dropped.get_future();
    cancelled.cancel();
    EXPECT_TRUE(cancelled.state().has_failed());
}

}  // namespace
