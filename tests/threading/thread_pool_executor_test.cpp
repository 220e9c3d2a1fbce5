#include <tercet/futures/wait.hpp>
#include <tercet/threading/thread.hpp>
#include <tercet/threading/thread_pool_executor.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sanitizers.hpp>
#include <sched.h>

#include <atomic>
#include <chrono>
#include <coroutine>
#include <ctime>
#include <functional>
#include <future>
#include <latch>
#include <memory>
#include <numeric>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "gate.hpp"

namespace {

using namespace std::chrono_literals;
using namespace tercet;
using tercet::threading::await_sleep_of;
using tercet::threading::gate;
using tercet::threading::thread_pool_executor;

static_assert(executor<thread_pool_executor>);

constexpr bool is_sanitized = is_under_address_sanitizer || is_under_thread_sanitizer;

TEST(thread_pool_executor, runs_calls_on_threads_of_its_own) {
    thread_pool_executor pool(2);
    EXPECT_NE(pool.submit([] { return std::this_thread::get_id(); }).result(), std::this_thread::get_id());
}

TEST(thread_pool_executor, starts_no_thread_before_the_first_call) {
    thread_pool_executor pool(4);
    EXPECT_EQ(pool.workers(), 0U);
}

TEST(thread_pool_executor, one_thread_is_reused_for_calls_that_follow_each_other) {
    thread_pool_executor pool(8);
    for (int i = 0; i < 2000; ++i) EXPECT_EQ(pool.submit([i] { return i; }).result(), i);
    EXPECT_EQ(pool.workers(), 1U);
}

TEST(thread_pool_executor, never_has_more_threads_than_max_workers) {
    gate door;
    std::atomic<int> inside{0};
    std::atomic<int> most{0};
    thread_pool_executor pool(4);
    std::vector<future<void>> all;
    std::latch four_are_in(4);
    for (int i = 0; i < 60; ++i)
        all.push_back(pool.submit([&, i] {
            const int now = ++inside;
            for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
            }
            if (i < 4) four_are_in.count_down();
            door.pass();
            --inside;
        }));
    four_are_in.wait();
    EXPECT_EQ(pool.workers(), 4U);
    door.open();
    wait(all);
    EXPECT_EQ(most, 4);
    EXPECT_EQ(pool.workers(), 4U);
}

TEST(thread_pool_executor, queued_calls_start_in_the_order_in_which_they_came) {
    gate door;
    std::vector<int> order;
    {
        thread_pool_executor pool(1);
        auto first = pool.submit([&] { door.pass(); });
        std::vector<future<void>> rest;
        for (int i = 0; i < 100; ++i) rest.push_back(pool.submit([&order, i] { order.push_back(i); }));
        door.open();
    }
    ASSERT_EQ(order.size(), 100U);
    EXPECT_TRUE(std::ranges::is_sorted(order));
}

TEST(thread_pool_executor, a_queued_call_can_be_cancelled_and_a_running_one_cannot) {
    gate door;
    std::latch is_inside(1);
    thread_pool_executor pool(1);
    auto running = pool.submit([&] {
        is_inside.count_down();
        door.pass();
    });
    bool ran = false;
    auto queued = pool.submit([&] { ran = true; });
    is_inside.wait();
    EXPECT_FALSE(running.cancel());
    EXPECT_TRUE(queued.cancel());
    door.open();
    running.result();
    EXPECT_THROW(queued.result(), cancelled_error);
    pool.shutdown();
    EXPECT_FALSE(ran);
}

TEST(thread_pool_executor, cancel_asks_a_running_call_to_stop_through_its_token) {
    std::latch is_inside(1);
    thread_pool_executor pool(1);
    auto running = pool.submit([&](std::stop_token token) {
        is_inside.count_down();
        std::latch stopped(1);
        const std::stop_callback wake(token, [&] { stopped.count_down(); });
        stopped.wait();
        return 7;
    });
    is_inside.wait();
    EXPECT_FALSE(running.cancel());
    EXPECT_EQ(running.result(), 7);
}

TEST(thread_pool_executor, a_failing_initializer_breaks_the_pool_with_its_reason) {
    thread_pool_executor pool({.max_workers = 2, .initializer = [] { throw std::runtime_error("no database"); }});
    auto first = pool.submit([] {});
    try {
        first.result();
        FAIL() << "the pool works";
    } catch (const threading::broken_thread_pool& error) {
        EXPECT_THAT(error.what(), testing::HasSubstr("no database"));
    }
    EXPECT_THROW(pool.submit([] {}), threading::broken_thread_pool);
}

TEST(thread_pool_executor, the_initializer_runs_once_on_each_thread_before_its_work) {
    static thread_local int prepared = 0;
    thread_pool_executor pool({.max_workers = 3, .initializer = [] { ++prepared; }});
    for (auto& each : pool.map([](int) { return prepared; }, std::views::iota(0, 50))) EXPECT_EQ(each, 1);
}

TEST(thread_pool_executor, threads_carry_the_prefix_as_their_name) {
    thread_pool_executor pool({.max_workers = 1, .thread_name_prefix = "fetch"});
    const std::string name = pool.submit([] {
                                     char text[16] = {};
                                     ::pthread_getname_np(::pthread_self(), text, sizeof text);
                                     return std::string(text);
                                 })
                                 .result();
    EXPECT_EQ(name, "fetch-0");
}

TEST(thread_pool_executor, a_callback_may_submit_and_wait_for_the_result) {
    gate door;
    std::promise<int> answered;
    thread_pool_executor pool(2);
    auto first = pool.submit([&] { door.pass(); });
    first.add_done_callback([&] { answered.set_value(pool.submit([] { return 9; }).result()); });
    door.open();
    EXPECT_EQ(answered.get_future().get(), 9);
}

TEST(thread_pool_executor, a_callback_that_blocks_does_not_hold_up_a_call_from_outside) {
    gate door;
    gate callback_may_end;
    std::latch in_callback(1);
    thread_pool_executor pool(2);
    auto first = pool.submit([&] { door.pass(); });
    first.add_done_callback([&] {
        in_callback.count_down();
        callback_may_end.pass();
    });
    door.open();
    in_callback.wait();
    EXPECT_EQ(pool.submit([] { return 3; }).result(), 3);
    callback_may_end.open();
}

// A coroutine that runs where the future it awaits is finished, and lets a test do what it likes there.
struct detached {
    struct promise_type {
        detached get_return_object() noexcept { return {}; }
        std::suspend_never initial_suspend() noexcept { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() noexcept {}
        void unhandled_exception() { throw; }
    };
};

detached when_done(future<void> awaited, std::function<void()> then) {
    co_await std::move(awaited);
    then();
}

TEST(thread_pool_executor, a_coroutine_that_resumes_on_its_thread_may_submit_and_wait) {
    gate door;
    std::promise<int> answered;
    thread_pool_executor pool(4);
    auto first = pool.submit([&] { door.pass(); });
    when_done(std::move(first), [&] { answered.set_value(pool.submit([] { return 9; }).result()); });
    door.open();
    EXPECT_EQ(answered.get_future().get(), 9);
}

TEST(thread_pool_executor, may_go_while_callbacks_run_and_calls_rely_on_their_thread) {
    for (int round = 0; round < 3000; ++round) {
        future<int> last;
        {
            thread_pool_executor pool(2);
            auto first = pool.submit([] {});
            first.add_done_callback([] {});
            first.wait();
            last = pool.submit([round] { return round; });
        }
        EXPECT_EQ(last.result(0s), round);
    }
}

TEST(thread_pool_executor, many_callers_at_once_lose_nothing) {
    thread_pool_executor pool(4);
    std::atomic<long> sum{0};
    std::vector<std::thread> callers;
    for (int caller = 0; caller < 4; ++caller)
        callers.emplace_back([&] {
            std::vector<future<void>> all;
            for (int i = 0; i < 2000; ++i) all.push_back(pool.submit([&sum, i] { sum += i; }));
            wait(all);
        });
    for (auto& each : callers) each.join();
    EXPECT_EQ(sum, 4L * 1999 * 2000 / 2);
}

TEST(thread_pool_executor, calls_without_a_future_run_and_their_errors_are_reported) {
    static std::atomic<int> reports{0};
    const auto before = set_unread_error_hook([](const std::exception_ptr&, std::string_view) noexcept { ++reports; });
    std::atomic<int> sum{0};
    {
        thread_pool_executor pool(2);
        for (int i = 1; i <= 100; ++i) pool.post([&sum](int n) { sum += n; }, i);
        pool.post([] { throw std::runtime_error("nobody hears"); });
    }
    EXPECT_EQ(sum, 5050);
    EXPECT_EQ(reports, 1);
    set_unread_error_hook(before);
}

TEST(thread_pool_executor, threads_run_on_the_cpus_they_are_given) {
    cpu_set_t usable;
    ASSERT_EQ(::sched_getaffinity(0, sizeof usable, &usable), 0);
    int cpu = 0;
    while (!CPU_ISSET(static_cast<std::size_t>(cpu), &usable)) ++cpu;
    thread_pool_executor pool({.max_workers = 2, .cpus = {cpu}});
    for (int i = 0; i < 10; ++i) EXPECT_EQ(pool.submit([] { return ::sched_getcpu(); }).result(), cpu);
}

TEST(thread_pool_executor, a_cpu_that_is_not_there_breaks_the_pool_with_its_reason) {
    thread_pool_executor pool({.max_workers = 1, .cpus = {CPU_SETSIZE - 1}});
    EXPECT_THROW(pool.submit([] {}).result(), threading::broken_thread_pool);
}

TEST(thread_pool_executor, counts_what_it_does) {
    gate door;
    std::latch both_are_in(2);
    thread_pool_executor pool(2);
    std::vector<future<void>> all;
    for (int i = 0; i < 10; ++i)
        all.push_back(pool.submit([&, i] {
            if (i < 2) both_are_in.count_down();
            door.pass();
        }));
    both_are_in.wait();
    auto now = pool.statistics();
    EXPECT_EQ(now.workers, 2U);
    EXPECT_EQ(now.running, 2U);
    EXPECT_EQ(now.queued, 8U);
    EXPECT_EQ(now.done, 0U);
    door.open();
    pool.shutdown();
    now = pool.statistics();
    EXPECT_EQ(now.done, 10U);
    EXPECT_EQ(now.queued, 0U);
    EXPECT_EQ(std::accumulate(now.waits.begin(), now.waits.end(), std::uint64_t{0}), 1U);  // the first of 64
}

TEST(thread_pool_executor, an_idle_pool_uses_no_cpu_for_ten_seconds) {
    if (is_under_thread_sanitizer) GTEST_SKIP() << "the sanitizer's own thread uses some";
    thread_pool_executor pool(4);
    for (int i = 0; i < 100; ++i) static_cast<void>(pool.submit([] {}));
    std::vector<int> threads;
    for (const auto& each : threading::enumerate())
        if (each.name().starts_with("tercet-")) threads.push_back(each.native_id());
    EXPECT_FALSE(threads.empty());
    for (const int each : threads) await_sleep_of(each);
    const auto cpu_time = [] {
        timespec spent{};
        ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
        return std::chrono::seconds(spent.tv_sec) + std::chrono::nanoseconds(spent.tv_nsec);
    };
    promise<void> never;
    auto unanswered = never.get_future();
    EXPECT_FALSE(unanswered.wait(1ms));  // its own search is over, too
    const auto before = cpu_time();
    EXPECT_FALSE(unanswered.wait(10s));
    EXPECT_LT(cpu_time() - before, 5ms);
    never.set_result();
}

TEST(thread_pool_executor, a_thread_without_work_stops_searching_within_100_us) {
    thread_pool_executor pool(1);
    const auto spent_on = [](clockid_t clock) {
        timespec spent{};
        ::clock_gettime(clock, &spent);
        return std::chrono::seconds(spent.tv_sec) + std::chrono::nanoseconds(spent.tv_nsec);
    };
    const int thread = pool.submit([] { return threading::get_native_id(); }).result();
    auto least = std::chrono::nanoseconds::max();
    for (int i = 0; i < 20; ++i) {
        for (int hot = 0; hot < 100; ++hot) pool.submit([] {}).result();  // so that searching has paid
        const auto [clock, before] = pool.submit([&] {
                                             clockid_t own{};
                                             ::pthread_getcpuclockid(::pthread_self(), &own);
                                             return std::pair(own, spent_on(own));
                                         })
                                         .result();
        await_sleep_of(thread);
        least = std::min<std::chrono::nanoseconds>(least, spent_on(clock) - before);
    }
    EXPECT_LT(least, is_sanitized ? 1ms : 100us);
}

TEST(thread_pool_executor, its_threads_are_listed_under_their_names) {
    const std::size_t before = threading::active_count();
    thread_pool_executor pool({.max_workers = 1, .thread_name_prefix = "listed"});
    EXPECT_EQ(pool.submit([] { return threading::current_thread().name(); }).result(), "listed-0");
    EXPECT_EQ(threading::active_count(), before + 1);
    std::vector<std::string> names;
    for (const auto& each : threading::enumerate()) names.push_back(each.name());
    EXPECT_THAT(names, testing::Contains("listed-0"));
    pool.shutdown();
    EXPECT_EQ(threading::active_count(), before);
}

TEST(thread_pool_executor, what_a_failing_initializer_has_submitted_fails_too) {
    thread_pool_executor* self = nullptr;
    future<int> inner;
    gate is_made;
    thread_pool_executor pool({.max_workers = 1, .initializer = [&] {
                                   is_made.pass();
                                   inner = self->submit([] { return 1; });
                                   throw std::runtime_error("too late");
                               }});
    self = &pool;
    auto first = pool.submit([] {});
    is_made.open();
    EXPECT_THROW(first.result(), threading::broken_thread_pool);
    pool.shutdown();
    EXPECT_THROW(inner.result(0s), threading::broken_thread_pool);
}

TEST(thread_pool_executor, refuses_more_threads_than_there_can_be) {
    EXPECT_THROW(thread_pool_executor(std::size_t{1} << 40), std::invalid_argument);
}

/// No thread can be started while this is there: none has room for its stack.
class no_more_threads {
public:
    no_more_threads() {
        pthread_attr_t huge;
        ::pthread_getattr_default_np(&before_);
        ::pthread_getattr_default_np(&huge);
        ::pthread_attr_setstacksize(&huge, std::size_t{1} << 46);
        EXPECT_EQ(::pthread_setattr_default_np(&huge), 0);
        ::pthread_attr_destroy(&huge);
    }
    no_more_threads(const no_more_threads&) = delete;
    no_more_threads& operator=(const no_more_threads&) = delete;
    ~no_more_threads() {
        ::pthread_setattr_default_np(&before_);
        ::pthread_attr_destroy(&before_);
    }

private:
    pthread_attr_t before_;
};

TEST(thread_pool_executor, a_first_thread_that_cannot_be_started_fails_the_call_and_nothing_else) {
    thread_pool_executor pool(2);
    {
        const no_more_threads limit;
        EXPECT_THROW(pool.submit([] {}), std::system_error);
        EXPECT_EQ(pool.workers(), 0U);
    }
    EXPECT_EQ(pool.submit([] { return 1; }).result(), 1);
}

TEST(thread_pool_executor, a_later_thread_that_cannot_be_started_leaves_the_work_to_those_that_are_there) {
    gate door;
    std::latch is_inside(1);
    thread_pool_executor pool(2);
    auto first = pool.submit([&] {
        is_inside.count_down();
        door.pass();
    });
    is_inside.wait();
    future<int> second;
    {
        const no_more_threads limit;
        second = pool.submit([] { return 2; });
        EXPECT_EQ(pool.workers(), 1U);
    }
    door.open();
    EXPECT_EQ(second.result(), 2);
}

}  // namespace
