#include <tercet/futures/as_completed.hpp>
#include <tercet/futures/shared_future.hpp>
#include <tercet/futures/wait.hpp>
#include <tercet/threading/parallel.hpp>
#include <tercet/threading/thread_pool_executor.hpp>

#include <gtest/gtest.h>
#include <stress/stress_run.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <ranges>
#include <stdexcept>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using namespace tercet;
using namespace tercet::threading;

struct counters {
    std::atomic<int> begun{0};
    std::atomic<int> called_back{0};
};

/// A call of some kind, which gives `number`, or throws where the number is a multiple of 11.
template <class Choices>
future<int> submit_some(thread_pool_executor& pool, counters& count, int number, Choices& choices) {
    const auto work = [&count, number] {
        ++count.begun;
        if (number % 11 == 0) throw std::out_of_range("a multiple of 11");
        return number;
    };
    switch (up_to(5, choices)) {
        case 0:
            return pool.submit({.priority = static_cast<int>(up_to(4, choices)) - 2}, work);
        case 1:
            return pool.submit({.timeout = std::chrono::microseconds(up_to(500, choices)), .retries = 1}, work);
        case 2:
            return pool.submit({.deadline = std::chrono::microseconds(up_to(2'000, choices))}, work);
        case 3:
            return pool.submit([&pool, &count, work] {
                auto inner = pool.submit([&count] {
                    ++count.begun;
                    return 1;
                });
                inner.result();
                return work();
            });
        default:
            return pool.submit(work);
    }
}

TEST(pool_under_stress, each_future_ends_once_whatever_is_cancelled_and_whenever_it_shuts_down) {
    stress_run run;
    while (run.goes_on()) {
        auto choices = run.choices();
        counters count;
        std::vector<future<int>> kept[2];
        int submitted = 0;
        {
            thread_pool_executor pool({.max_workers = 1 + up_to(3, choices), .queue_size = 1 + up_to(100, choices)});
            std::vector<std::jthread> threads;
            std::atomic<int> accepted{0};
            for (auto& mine : kept)
                threads.emplace_back([&, choose = run.choices()]() mutable {
                    try {
                        for (int i = 1; i <= 200; ++i) {
                            mine.push_back(submit_some(pool, count, i, choose));
                            ++accepted;
                            mine.back().add_done_callback([&count] { ++count.called_back; });
                            if (up_to(9, choose) == 0) mine[up_to(mine.size() - 1, choose)].cancel();
                        }
                    } catch (const executor_shutdown&) {
                    }
                });
            if (up_to(1, choices) == 0) {
                std::this_thread::sleep_for(std::chrono::microseconds(up_to(2'000, choices)));
                pool.shutdown({.wait = up_to(1, choices) == 0, .cancel_futures = up_to(1, choices) == 0});
            }
            threads.clear();
            submitted = accepted;
        }
        for (auto& mine : kept) {
            EXPECT_EQ(wait(mine, {.timeout = 60s}).not_done.size(), 0U);
            for (auto& each : mine) {
                try {
                    EXPECT_NE(each.result(0s) % 11, 0);
                } catch (const cancelled_error&) {
                } catch (const timeout_error&) {
                } catch (const executor_shutdown&) {  // a call that submitted when it was too late
                } catch (const std::out_of_range&) {
                }
            }
        }
        EXPECT_EQ(count.called_back, submitted);
    }
}

TEST(pool_under_stress, map_parallel_for_and_shared_futures_agree_with_a_loop) {
    stress_run run;
    while (run.goes_on()) {
        auto choices = run.choices();
        thread_pool_executor pool(1 + up_to(3, choices));
        const int count = 1 + static_cast<int>(up_to(500, choices));
        const long expected = long{count} * (count - 1) / 2;
        const auto first = pool.submit([] { return 1; }).share();
        std::vector<std::jthread> threads;
        for (int t = 0; t < 2; ++t)
            threads.emplace_back([&, mine = run.choices()]() mutable {
                EXPECT_EQ(first.result(), 1);
                long sum = 0;
                for (auto& each : pool.map(
                         {.chunk_size = up_to(8, mine), .buffer_size = up_to(40, mine)}, [](int n) { return n; },
                         std::views::iota(0, count)))
                    sum += each;
                EXPECT_EQ(sum, expected);
                EXPECT_EQ(parallel_reduce(pool, 0, static_cast<std::size_t>(count), 0L,
                                          [](std::size_t i) { return static_cast<long>(i); }, std::plus(),
                                          {.grain = 1 + up_to(5, mine)}),
                          expected);
            });
    }
}

}  // namespace
