#include <tercet/futures/errors.hpp>
#include <tercet/futures/wait.hpp>
#include <tercet/multiprocessing/pool.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <future>
#include <map>
#include <numeric>
#include <ranges>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "process_probe.hpp"

namespace tercet::multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

int square(int n) { return n * n; }
int add(int a, int b) { return a + b; }
int refuse_odd(int n) {
    if (n % 2 != 0) throw std::invalid_argument("odd: " + std::to_string(n));
    return n;
}
int die_at_seven(int n) {
    if (n == 7) ::raise(SIGKILL);
    return n;
}
void nothing(int) {}

std::vector<int> first_numbers(int count) {
    std::vector<int> all(static_cast<std::size_t>(count));
    std::iota(all.begin(), all.end(), 0);
    return all;
}

template <class Fn>
std::string error_of(Fn fn) {
    try {
        fn();
    } catch (const std::exception& e) {
        return e.what();
    }
    return "no error";
}

/// Waits in a worker until a number comes through the signpost.
int wait_for_sign(const std::string& path) { return signpost::read(path); }

TEST(pool, apply_calls_in_another_process_and_keeps_the_type_of_errors) {
    pool workers(2);
    EXPECT_EQ(workers.apply(add, 2, 3), 5);
    EXPECT_NE(workers.apply([] { return ::getpid(); }), ::getpid());
    EXPECT_EQ(workers.apply([](const std::string& text) { return text + "!"; }, "hello"), "hello!");
    EXPECT_THROW(workers.apply(refuse_odd, 1), std::invalid_argument);
}

TEST(pool, async_result_is_waited_for_asked_and_taken) {
    const signpost sign;
    pool workers(1);
    auto answer = workers.apply_async(wait_for_sign, sign.path());
    EXPECT_FALSE(answer.ready());
    EXPECT_FALSE(answer.wait(0s));
    EXPECT_THROW(answer.get(1ms), timeout_error);
    EXPECT_THROW(answer.successful(), invalid_state_error);
    signpost::write(sign.path(), 42);
    EXPECT_TRUE(answer.wait(20s));
    EXPECT_TRUE(answer.ready());
    EXPECT_TRUE(answer.successful());
    EXPECT_EQ(answer.get(), 42);
    EXPECT_EQ(answer.get(), 42);
    auto failed = workers.apply_async(refuse_odd, 3);
    failed.wait();
    EXPECT_FALSE(failed.successful());
    EXPECT_THROW(failed.get(), std::invalid_argument);
}

TEST(pool, callbacks_have_returned_when_the_result_is_ready) {
    pool workers(2);
    int seen = 0;
    auto sum = workers.apply_async({.callback = [&](int& result) { seen = ++result; }}, add, 1, 2);
    EXPECT_EQ(sum.get(), 4);
    EXPECT_EQ(seen, 4);
    std::string error;
    auto failed = workers.apply_async({.callback = [&](int&) { seen = -1; },
                                       .error_callback = [&](const std::exception_ptr& e) { error = describe(e); }},
                                      refuse_odd, 5);
    EXPECT_TRUE(failed.wait(20s));
    EXPECT_THAT(error, HasSubstr("odd: 5"));
    EXPECT_EQ(seen, 4);
    bool was_called = false;
    workers.apply_async({.callback = [&] { was_called = true; }}, nothing, 1).get();
    EXPECT_TRUE(was_called);
}

TEST(pool, what_a_callback_throws_is_reported_and_the_result_is_there) {
    static std::atomic<int> reports{0};
    reports = 0;
    const auto before = set_unread_error_hook([](const std::exception_ptr&, std::string_view) noexcept { ++reports; });
    pool workers(1);
    auto sum = workers.apply_async({.callback = [](int&) { throw std::runtime_error("on purpose"); }}, add, 1, 2);
    EXPECT_EQ(sum.get(20s), 3);
    set_unread_error_hook(before);
    EXPECT_EQ(reports, 1);
}

TEST(pool, map_keeps_the_order_of_the_input_whatever_the_chunks) {
    pool workers(2);
    const auto numbers = first_numbers(1'000);
    for (const std::size_t chunk_size : {0U, 1U, 7U, 5'000U}) {
        const std::vector<int> squares = workers.map(square, numbers, chunk_size);
        ASSERT_EQ(squares.size(), 1'000U);
        for (int i = 0; i < 1'000; ++i) ASSERT_EQ(squares[static_cast<std::size_t>(i)], i * i);
    }
    EXPECT_TRUE(workers.map(square, std::vector<int>()).empty());
    EXPECT_EQ(workers.map(nothing, std::vector{1, 2}).size(), 2U);
    EXPECT_THAT(workers.map([](int n) { return n > 1; }, std::vector{1, 2}), ElementsAre(false, true));
    EXPECT_THAT(workers.map(square, std::views::iota(0) | std::views::take(3)), ElementsAre(0, 1, 4));
}

TEST(pool, map_throws_the_first_error_once_all_calls_are_over) {
    pool workers(2);
    EXPECT_EQ(error_of([&] { workers.map(refuse_odd, std::vector{0, 2, 5, 3, 4}, 1); }), "odd: 5");
    EXPECT_EQ(workers.apply(add, 1, 1), 2);
    // The first fails at once; the second is not over before it is told to.
    const signpost gate;
    const auto fail_or_wait = [](const std::string& path) {
        if (path.empty()) throw std::runtime_error("at once");
        return signpost::read(path);
    };
    auto both = workers.map_async(fail_or_wait, std::vector<std::string>{"", gate.path()}, 1);
    EXPECT_FALSE(both.wait(50ms));
    signpost::write(gate.path(), 1);
    EXPECT_EQ(error_of([&] { both.get(20s); }), "at once");
}

TEST(pool, map_async_calls_back_once_with_everything) {
    pool workers(2);
    std::vector<int> seen;
    auto squares =
        workers.map_async(square, first_numbers(5), 2, {.callback = [&](std::vector<int>& all) { seen = all; }});
    EXPECT_THAT(std::move(squares).get(), ElementsAre(0, 1, 4, 9, 16));
    EXPECT_THAT(seen, ElementsAre(0, 1, 4, 9, 16));
    std::string error;
    auto failed = workers.map_async(refuse_odd, std::vector{1}, 0,
                                    {.error_callback = [&](const std::exception_ptr& e) { error = describe(e); }});
    EXPECT_TRUE(failed.wait(20s));
    EXPECT_THAT(error, HasSubstr("odd: 1"));
}

TEST(pool, starmap_unpacks_tuples_and_pairs) {
    pool workers(2);
    EXPECT_THAT(workers.starmap(add, std::vector{std::pair(1, 2), std::pair(3, 4)}), ElementsAre(3, 7));
    const auto join = [](const std::string& a, int b, char c) { return a + std::to_string(b) + c; };
    EXPECT_THAT(workers.starmap(join, std::vector{std::tuple(std::string("a"), 1, 'x')}), ElementsAre("a1x"));
    auto sums = workers.starmap_async(add, std::map<int, int>{{1, 2}, {5, 6}}, 1);
    EXPECT_THAT(sums.get(), ElementsAre(3, 11));
}

TEST(pool, the_initializer_runs_in_each_process_before_its_first_call) {
    static int base = 0;
    pool workers(
        2, [](int value) { base = value; }, 40);
    for (const int each : workers.map([](int n) { return base + n; }, std::vector{2, 2, 2, 2}, 1)) EXPECT_EQ(each, 42);
    EXPECT_EQ(base, 0);
}

TEST(pool, imap_gives_results_in_order_and_errors_in_their_place) {
    pool workers(2);
    std::vector<std::string> seen;
    auto results = workers.imap(refuse_odd, std::vector{0, 1, 2, 3, 4}, 2);
    for (auto each = results.begin(); each != results.end(); ++each) {
        try {
            seen.push_back(std::to_string(*each));
        } catch (const std::invalid_argument& e) {
            seen.emplace_back(e.what());
        }
    }
    EXPECT_THAT(seen, ElementsAre("0", "odd: 1", "2", "odd: 3", "4"));
    int sum = 0;
    for (const int each : workers.imap(square, std::views::iota(0, 100), 9)) sum += each;
    EXPECT_EQ(sum, 328'350);
    for ([[maybe_unused]] const int each : workers.imap(square, std::vector<int>())) FAIL();
}

TEST(pool, imap_pulls_its_input_no_further_than_its_bound) {
    pool workers(2);
    for (const std::size_t chunk_size : {1U, 5U}) {
        std::atomic<int> pulled{0};
        auto endless = std::views::iota(0) | std::views::transform([&](int n) {
                           ++pulled;
                           return n;
                       });
        const int most = 4 * 2 * static_cast<int>(chunk_size);
        auto results = workers.imap(square, endless, chunk_size);
        EXPECT_EQ(pulled, most);
        for (int i = 0; i < 100; ++i) {
            EXPECT_EQ(results.next(20s), i * i);
            EXPECT_LE(pulled, i + 1 + most);
        }
    }
}

TEST(pool, imap_next_keeps_its_time_limit_and_loses_nothing) {
    const signpost sign;
    pool workers(1);
    auto results = workers.imap(wait_for_sign, std::vector{sign.path(), sign.path()});
    EXPECT_THROW(results.next(1ms), timeout_error);
    signpost::write(sign.path(), 1);
    EXPECT_EQ(results.next(20s), 1);
    signpost::write(sign.path(), 2);
    EXPECT_EQ(results.next(20s), 2);
    EXPECT_EQ(results.next(20s), std::nullopt);
    EXPECT_EQ(results.next(20s), std::nullopt);
}

TEST(pool, imap_unordered_gives_first_what_is_ready_first) {
    const signpost first;
    const signpost second;
    pool workers(2);
    auto results = workers.imap_unordered(wait_for_sign, std::vector{first.path(), second.path()});
    EXPECT_THROW(results.next(1ms), timeout_error);
    signpost::write(second.path(), 2);
    EXPECT_EQ(results.next(20s), 2);
    signpost::write(first.path(), 1);
    EXPECT_EQ(results.next(20s), 1);
    EXPECT_EQ(results.next(20s), std::nullopt);
}

TEST(pool, imap_unordered_gives_everything_once) {
    pool workers(2);
    for (const std::size_t chunk_size : {1U, 3U, 1'000U}) {
        std::multiset<int> seen;
        for (const int each : workers.imap_unordered(square, first_numbers(500), chunk_size)) seen.insert(each);
        ASSERT_EQ(seen.size(), 500U);
        for (int i = 0; i < 500; ++i) ASSERT_EQ(seen.count(i * i), 1U);
    }
}

TEST(finished_chunks, come_in_the_order_in_which_they_ended) {
    detail::finished_chunks chunks;
    EXPECT_THROW(chunks.pop(0s), timeout_error);
    chunks.push(7);
    chunks.push(3);
    EXPECT_EQ(chunks.pop({}), 7U);
    EXPECT_EQ(chunks.pop(0s), 3U);
    EXPECT_THROW(chunks.pop(1ms), timeout_error);
}

TEST(pool, an_error_of_the_input_comes_last) {
    pool workers(1);
    auto input = std::views::iota(0) | std::views::transform([](int n) {
                     if (n == 3) throw std::runtime_error("no more");
                     return n;
                 });
    auto results = workers.imap(square, input, 2);
    EXPECT_EQ(results.next(), 0);
    EXPECT_EQ(results.next(), 1);
    EXPECT_EQ(results.next(), 4);
    EXPECT_EQ(error_of([&] { results.next(); }), "no more");
    EXPECT_EQ(results.next(), std::nullopt);
}

TEST(pool, a_dead_process_fails_its_own_item_only) {
    pool workers(2);
    for (const bool is_ordered : {true, false}) {
        int dead = 0;
        std::multiset<int> alive;
        const auto take_all = [&](auto results) {
            for (auto each = results->begin(); each != results->end(); ++each) {
                try {
                    alive.insert(*each);
                } catch (const worker_died& e) {
                    EXPECT_EQ(e.signal(), SIGKILL);
                    ++dead;
                }
            }
        };
        const auto numbers = first_numbers(30);
        if (is_ordered) {
            auto results = workers.imap(die_at_seven, numbers);
            take_all(&results);
        } else {
            auto results = workers.imap_unordered(die_at_seven, numbers);
            take_all(&results);
        }
        EXPECT_EQ(dead, 1);
        EXPECT_EQ(alive.size(), 29U);
        EXPECT_EQ(alive.count(7), 0U);
    }
    EXPECT_THROW(workers.map(die_at_seven, first_numbers(30), 1), worker_died);
    EXPECT_THROW(workers.apply(die_at_seven, 7), worker_died);
    EXPECT_EQ(workers.apply(die_at_seven, 8), 8);
}

TEST(pool, join_needs_close_and_a_closed_pool_takes_no_more) {
    pool workers(1);
    EXPECT_EQ(error_of([&] { workers.join(); }), "pool: join: close or terminate it first");
    auto last = workers.apply_async(add, 1, 2);
    workers.close();
    workers.close();
    for (const auto& [call, error] :
         {std::pair("apply", error_of([&] { workers.apply(add, 1, 2); })),
          std::pair("apply_async", error_of([&] { workers.apply_async(add, 1, 2); })),
          std::pair("map", error_of([&] { workers.map(square, std::vector{1}); })),
          std::pair("map_async", error_of([&] { workers.map_async(square, std::vector{1}); })),
          std::pair("starmap", error_of([&] { workers.starmap(add, std::vector{std::pair(1, 2)}); })),
          std::pair("imap", error_of([&] { workers.imap(square, std::vector{1}); })),
          std::pair("imap_unordered", error_of([&] { workers.imap_unordered(square, std::vector{1}); }))})
        EXPECT_EQ(error, std::string("pool: ") + call + ": it was closed, and takes no more calls");
    workers.join(20s);
    EXPECT_EQ(last.get(0s), 3);
    EXPECT_TRUE(workers.executor().worker_pids().empty());
    workers.join();
}

TEST(pool, what_imap_pulls_after_close_is_still_done) {
    pool workers(1);
    auto results = workers.imap(square, first_numbers(20));
    workers.close();
    for (int i = 0; i < 20; ++i) EXPECT_EQ(results.next(20s), i * i);
    workers.join(20s);
}

TEST(pool, terminate_kills_what_runs_and_cancels_what_waits) {
    const signpost here;
    const signpost never;
    pool workers(1);
    auto running = workers.apply_async(
        [](const std::string& from, const std::string& to) {
            signpost::write(to, 1);
            return signpost::read(from);
        },
        never.path(), here.path());
    here.next();
    // Longer than what may stand behind a running call already.
    std::vector<async_result<int>> waiting;
    for (int i = 0; i < 1'000; ++i) waiting.push_back(workers.apply_async(add, 1, 2));
    auto mapped = workers.map_async(square, first_numbers(100));
    workers.terminate();
    EXPECT_THROW(running.get(20s), worker_died);
    EXPECT_THROW(waiting.back().get(20s), cancelled_error);
    EXPECT_TRUE(mapped.wait(20s));
    EXPECT_THROW(mapped.get(0s), cancelled_error);
    EXPECT_THAT(error_of([&] { workers.apply(add, 1, 2); }), HasSubstr("it was terminated"));
    workers.join(20s);
    for (auto& each : waiting) EXPECT_TRUE(each.ready());
}

TEST(pool, goes_without_waiting_for_endless_calls) {
    const signpost never;
    const signpost here;
    async_result<int> lost;
    {
        pool workers(1);
        lost = workers.apply_async(
            [](const std::string& from, const std::string& to) {
                signpost::write(to, 1);
                return signpost::read(from);
            },
            never.path(), here.path());
        here.next();
    }
    EXPECT_THROW(lost.get(0s), worker_died);
}

TEST(pool, many_threads_use_it_at_once) {
    pool workers(2);
    std::vector<std::future<int>> threads;
    for (int thread = 0; thread < 6; ++thread)
        threads.push_back(std::async(std::launch::async, [&] {
            int sum = 0;
            for (int round = 0; round < 10; ++round) {
                for (const int each : workers.map(square, first_numbers(10), 3)) sum += each;
                for (const int each : workers.imap_unordered(square, first_numbers(10))) sum += each;
                sum += workers.apply(add, 1, 2);
            }
            return sum;
        }));
    for (auto& each : threads) EXPECT_EQ(each.get(), 10 * (285 + 285 + 3));
}

TEST(pool, its_results_are_futures_like_others) {
    pool workers(2);
    auto one = workers.apply_async(add, 1, 2);
    auto two = workers.map_async(square, first_numbers(3));
    std::vector<future_base*> both{&one.as_future(), &two.as_future()};
    EXPECT_EQ(wait(both, {.timeout = 20s}).done.size(), 2U);
}

TEST(pool, of_no_input_there_are_no_results) {
    pool workers(1);
    const std::vector<int> none;
    EXPECT_TRUE(workers.map(square, none).empty());
    EXPECT_TRUE(workers.map(square, none, 5).empty());
    EXPECT_TRUE(workers.map_async(square, none).get(20s).empty());
    EXPECT_TRUE(workers.starmap(add, std::vector<std::pair<int, int>>()).empty());
    int count = 0;
    for ([[maybe_unused]] const int each : workers.imap(square, none)) ++count;
    for ([[maybe_unused]] const int each : workers.imap_unordered(square, none, 3)) ++count;
    EXPECT_EQ(count, 0);
    EXPECT_EQ(workers.apply(square, 3), 9);
}

TEST(pool, has_the_options_of_an_executor) {
    pool workers(process_pool_options{.max_workers = 1, .max_message_bytes = 1'000, .max_tasks_per_child = 1});
    const auto own_pid = [] { return static_cast<int>(::getpid()); };
    EXPECT_NE(workers.apply(own_pid), workers.apply(own_pid));
    EXPECT_ANY_THROW(workers.apply([](const std::string& text) { return text.size(); }, std::string(2'000, 'x')));
    EXPECT_EQ(workers.apply(square, 3), 9);
}

TEST(pool, refuses_chunks_of_no_items) {
    pool workers(1);
    EXPECT_THROW(workers.imap(square, std::vector{1}, 0), std::invalid_argument);
}

}  // namespace
}  // namespace tercet::multiprocessing
