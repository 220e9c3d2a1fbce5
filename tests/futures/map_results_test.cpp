#include <tercet/futures/map_results.hpp>
#include <tercet/futures/sequential_executor.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <ranges>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;
using namespace tercet;

/// Keeps its calls until the test runs them.
class manual_executor : public executor_interface<manual_executor> {
public:
    template <class Fn, class... Args>
    auto submit(Fn&& fn, Args&&... args) {
        auto [work, result] = make_call(std::forward<Fn>(fn), std::forward<Args>(args)...);
        waiting.push_back(work);
        return std::move(result);
    }
    std::size_t max_workers() const noexcept { return 1; }
    void shutdown(shutdown_options = {}) noexcept {}
    void run_one() {
        job* const work = waiting.front();
        waiting.pop_front();
        work->run(nullptr);
    }
    ~manual_executor() {
        for (job* each : waiting) each->discard();
    }

    std::deque<job*> waiting;
};

int twice(int x) { return 2 * x; }

TEST(map, yields_results_in_the_order_of_the_input) {
    sequential_executor pool;
    std::vector<int> results;
    for (auto& each : pool.map(twice, std::vector{1, 2, 3})) results.push_back(each);
    EXPECT_THAT(results, testing::ElementsAre(2, 4, 6));
}

TEST(map, stops_at_the_shortest_of_several_ranges) {
    sequential_executor pool;
    const std::vector<std::string> words{"a", "b", "c"};
    std::string all;
    for (auto& each :
         pool.map([](int n, const std::string&word) { return word + std::to_string(n); }, std::views::iota(1), words))
        all += each;
    EXPECT_EQ(all, "a1b2c3");
}

TEST(map, pulls_an_endless_range_only_as_far_as_its_buffer) {
    sequential_executor pool;
    int pulled = 0;
    auto numbers = std::views::iota(0) | std::views::transform([&](int n) {
                       ++pulled;
                       return n;
                   });
    int taken = 0;
    for (auto& each : pool.map({.buffer_size = 4}, twice, numbers)) {
        EXPECT_EQ(each, 2 * taken);
        if (++taken == 10) break;
    }
    EXPECT_EQ(pulled, 13);
}

TEST(map, an_item_that_throws_throws_at_its_place_after_the_results_before_it) {
    sequential_executor pool;
    std::vector<int> results;
    auto mapped = pool.map(
        [](int n) {
            if (n == 3) throw std::out_of_range("three");
            return n;
        },
        std::views::iota(1, 6));
    auto at = mapped.begin();
    for (; at != mapped.end(); ++at) {
        try {
            results.push_back(*at);
        } catch (const std::out_of_range&) {
            results.push_back(-1);
        }
    }
    EXPECT_THAT(results, testing::ElementsAre(1, 2, -1, 4, 5));
}

TEST(map, an_input_that_throws_throws_after_the_results_before_it_and_ends) {
    sequential_executor pool;
    auto failing = std::views::iota(0) | std::views::transform([](int n) {
                       if (n == 2) throw std::runtime_error("unreadable");
                       return n;
                   });
    std::vector<int> results;
    EXPECT_THROW(
        {
            for (auto& each : pool.map(twice, failing)) results.push_back(each);
        },
        std::runtime_error);
    EXPECT_THAT(results, testing::ElementsAre(0, 2));
}

TEST(map, a_result_later_than_the_limit_is_a_timeout_after_the_earlier_ones) {
    manual_executor pool;
    auto mapped = pool.map({.timeout = 10ms}, twice, std::vector{1, 2});
    pool.run_one();
    auto at = mapped.begin();
    EXPECT_EQ(*at, 2);
    ++at;
    EXPECT_THROW(*at, timeout_error);
}

TEST(map, leaving_early_cancels_what_has_not_started) {
    manual_executor pool;
    int ran = 0;
    {
        auto mapped = pool.map(
            [&](int n) {
                ++ran;
                return n;
            },
            std::vector{1, 2, 3});
        pool.run_one();
        EXPECT_EQ(*mapped.begin(), 1);
    }
    while (!pool.waiting.empty()) pool.run_one();
    EXPECT_EQ(ran, 1);
}

TEST(map, nothing_yields_nothing) {
    sequential_executor pool;
    for (auto& each : pool.map(twice, std::vector<int>{})) FAIL() << each;
}

TEST(map, calls_without_a_result_can_be_walked_over) {
    sequential_executor pool;
    int sum = 0;
    int results = 0;
    for ([[maybe_unused]] auto& each : pool.map([&](int n) { sum += n; }, std::vector{1, 2, 3})) ++results;
    EXPECT_EQ(sum, 6);
    EXPECT_EQ(results, 3);
}

TEST(map, reads_no_further_than_its_buffer_from_a_source_that_cannot_be_read_twice) {
    sequential_executor pool;
    std::istringstream source("1 2 3 4");
    auto mapped = pool.map({.buffer_size = 1}, twice, std::views::istream<int>(source));
    auto at = mapped.begin();
    EXPECT_EQ(*at, 2);
    int rest = 0;
    EXPECT_EQ(source.tellg(), 1);
    for (; at != mapped.end(); ++at) rest += *at;
    EXPECT_EQ(rest, 20);
}

TEST(map, walking_past_a_result_does_its_work) {
    sequential_executor pool;
    int ran = 0;
    auto mapped = pool.map(
        {.buffer_size = 1}, [&](int) { ++ran; }, std::views::iota(0, 50));
    int walked = 0;
    for (auto at = mapped.begin(); at != mapped.end(); ++at) ++walked;
    EXPECT_EQ(walked, 50);
    EXPECT_EQ(ran, 50);
}

TEST(map, results_that_were_submitted_come_before_the_refusal_of_a_later_submit) {
    sequential_executor pool;
    auto mapped = pool.map({.buffer_size = 2}, twice, std::views::iota(0, 10));
    pool.shutdown();
    std::vector<int> results;
    EXPECT_THROW(
        {
            for (auto& each : mapped) results.push_back(each);
        },
        executor_shutdown);
    EXPECT_THAT(results, testing::ElementsAre(0, 2));
}

/// Counts how many calls it is given.
class counting_executor : public executor_interface<counting_executor> {
public:
    template <class Fn, class... Args>
    auto submit(Fn&& fn, Args&&... args) {
        ++calls;
        return inner.submit(std::forward<Fn>(fn), std::forward<Args>(args)...);
    }
    std::size_t max_workers() const noexcept { return 2; }

    sequential_executor inner;
    std::size_t calls = 0;
};

TEST(map, does_quick_items_several_at_once) {
    counting_executor pool;
    long sum = 0;
    for (auto& each : pool.map(twice, std::views::iota(0, 100'000))) sum += each;
    EXPECT_EQ(sum, 99'999L * 100'000);
    EXPECT_LT(pool.calls, 20'000U);
}

TEST(map, does_slow_items_one_at_a_time) {
    counting_executor pool;
    for ([[maybe_unused]] auto& each : pool.map(
             [](int) {
                 const auto end = std::chrono::steady_clock::now() + 100us;
                 while (std::chrono::steady_clock::now() < end) {
                 }
             },
             std::views::iota(0, 100))) {
    }
    EXPECT_EQ(pool.calls, 100U);
}

TEST(map, puts_as_many_items_into_a_call_as_it_is_told) {
    counting_executor pool;
    int sum = 0;
    for (auto& each : pool.map({.chunk_size = 8}, twice, std::views::iota(0, 20))) sum += each;
    EXPECT_EQ(sum, 380);
    EXPECT_EQ(pool.calls, 3U);
}

TEST(map, an_input_that_throws_in_a_chunk_loses_nothing_of_it) {
    sequential_executor pool;
    auto failing = std::views::iota(0) | std::views::transform([](int n) {
                       if (n == 7) throw std::runtime_error("unreadable");
                       return n;
                   });
    std::vector<int> results;
    EXPECT_THROW(
        {
            for (auto& each : pool.map({.chunk_size = 5}, twice, failing)) results.push_back(each);
        },
        std::runtime_error);
    EXPECT_THAT(results, testing::ElementsAre(0, 2, 4, 6, 8, 10, 12));
}

/// Has room for one call at a time, which it makes when it is told to.
class narrow_executor : public executor_interface<narrow_executor> {
public:
    template <class Fn, class... Args>
    auto submit(Fn&& fn, Args&&... args) {
        if (waiting) throw queue_full("narrow_executor");
        auto [work, result] = make_call(std::forward<Fn>(fn), std::forward<Args>(args)...);
        waiting = work;
        return std::move(result);
    }
    std::size_t max_workers() const noexcept { return 1; }
    void run() {
        if (job* const work = std::exchange(waiting, nullptr)) work->run(nullptr);
    }
    ~narrow_executor() {
        if (waiting) waiting->discard();
    }

    job* waiting = nullptr;
};

TEST(map, a_chunk_for_which_there_was_no_room_is_not_lost) {
    narrow_executor pool;
    std::istringstream source("1 2 3 4 5 6 7");
    auto mapped = pool.map({.chunk_size = 2}, twice, std::views::istream<int>(source));
    std::vector<int> results;
    for (auto at = mapped.begin(); at != mapped.end(); ++at) {
        pool.run();
        results.push_back(*at);
    }
    EXPECT_THAT(results, testing::ElementsAre(2, 4, 6, 8, 10, 12, 14));
}

TEST(map, gives_each_call_of_a_function_that_changes_itself_a_copy_of_its_own) {
    sequential_executor pool;
    std::vector<int> results;
    for (auto& each : pool.map(
             {.chunk_size = 3}, [calls = 0](int n) mutable { return 10 * n + ++calls; }, std::vector{1, 2, 3}))
        results.push_back(each);
    EXPECT_THAT(results, testing::ElementsAre(11, 21, 31));
}

TEST(map, items_move_into_their_calls) {
    sequential_executor pool;
    auto made = std::views::iota(1, 4) | std::views::transform([](int n) { return std::make_unique<int>(n); });
    std::vector<int> results;
    for (auto& each : pool.map(
             {.chunk_size = 2}, [](std::unique_ptr<int> number) { return number; }, made))
        results.push_back(*each);
    EXPECT_THAT(results, testing::ElementsAre(1, 2, 3));
}

TEST(map, a_chunk_that_is_left_stops_before_its_next_item) {
    std::vector<int> done;
    narrow_executor pool;
    std::function<void()> leave;
    auto work = [&](int n) {
        done.push_back(n);
        leave();
    };
    using results = decltype(pool.map({.chunk_size = 3}, work, std::vector{1, 2, 3}));
    auto* const mapped = new results(pool.map({.chunk_size = 3}, work, std::vector{1, 2, 3}));
    leave = [mapped] { delete mapped; };
    pool.run();
    EXPECT_THAT(done, testing::ElementsAre(1));
}

}  // namespace
