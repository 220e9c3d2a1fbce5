#include <tercet/threading/thread_pool_executor.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace tercet;
using tercet::threading::thread_pool_executor;

long fib(thread_pool_executor& pool, int n) {
    if (n < 2) return n;
    auto left = pool.fork([&] { return fib(pool, n - 1); });
    const long right = fib(pool, n - 2);
    return left.join() + right;
}

TEST(forked, computes_fibonacci_numbers_with_a_fork_at_every_level) {
    for (const std::size_t threads : {1U, 2U, 3U}) {
        thread_pool_executor pool(threads);
        EXPECT_EQ(pool.submit([&] { return fib(pool, 20); }).result(), 6765);
    }
}

TEST(forked, works_from_outside_the_pool) {
    thread_pool_executor pool(2);
    EXPECT_EQ(fib(pool, 10), 55);
}

TEST(forked, another_thread_takes_it_while_its_maker_is_busy) {
    thread_pool_executor pool(2);
    auto ids = pool.submit([&] {
        std::latch was_begun(1);
        auto other = pool.fork([&] {
            was_begun.count_down();
            return std::this_thread::get_id();
        });
        was_begun.wait();
        return std::pair(std::this_thread::get_id(), other.join());
    });
    const auto [here, there] = ids.result();
    EXPECT_NE(here, there);
}

TEST(forked, an_error_is_thrown_where_it_is_joined) {
    thread_pool_executor pool(2);
    auto call = pool.submit([&] {
        auto failing = pool.fork([]() -> int { throw std::runtime_error("left"); });
        return failing.join();
    });
    EXPECT_THROW(call.result(), std::runtime_error);
}

TEST(forked, one_that_is_not_joined_is_waited_for_and_its_error_reported) {
    static std::atomic<int> reports{0};
    reports = 0;
    const auto before = set_unread_error_hook([](const std::exception_ptr&, std::string_view) noexcept { ++reports; });
    thread_pool_executor pool(2);
    std::atomic<bool> has_run{false};
    auto call = pool.submit([&] {
        auto failing = pool.fork([&] {
            has_run = true;
            throw std::runtime_error("dropped");
        });
    });
    call.result();
    EXPECT_TRUE(has_run);
    EXPECT_EQ(reports, 1);
    set_unread_error_hook(before);
}

TEST(forked, more_of_them_than_a_deque_holds_are_all_run) {
    thread_pool_executor pool(2);
    auto call = pool.submit([&] {
        std::atomic<int> ran{0};
        auto count = [&] { ++ran; };
        using counting = threading::forked<decltype(count)>;
        std::vector<std::unique_ptr<counting>> all;
        for (int i = 0; i < 1000; ++i) all.push_back(std::make_unique<counting>(pool, count));
        for (auto& each : all) each->join();  // the oldest first: not the order of a stack
        return ran.load();
    });
    EXPECT_EQ(call.result(), 1000);
}

TEST(forked, is_neither_cancelled_nor_run_by_who_shuts_the_pool_down) {
    std::latch is_forked(1);
    std::latch may_join(1);
    thread_pool_executor pool(1);
    auto call = pool.submit([&] {
        std::vector<std::thread::id> ids;
        auto part = pool.fork([&] { ids.push_back(std::this_thread::get_id()); });
        auto other = pool.fork([&] { ids.push_back(std::this_thread::get_id()); });
        is_forked.count_down();
        may_join.wait();
        other.join();
        part.join();
        EXPECT_EQ(ids, std::vector(2, std::this_thread::get_id()));
        return 7;
    });
    is_forked.wait();
    pool.shutdown({.wait = false, .cancel_futures = true});
    pool.shutdown({.wait = false, .cancel_futures = true});  // once more, for what was put aside
    may_join.count_down();
    EXPECT_EQ(call.result(), 7);
}

TEST(forked, goes_on_while_the_pool_is_shut_down_and_its_futures_cancelled) {
    for (int round = 0; round < 20; ++round) {
        thread_pool_executor pool(2);
        auto call = pool.submit([&] { return fib(pool, 22); });
        while (!call.running() && !call.done()) std::this_thread::yield();
        pool.shutdown({.wait = false, .cancel_futures = true});
        EXPECT_EQ(call.result(), 17711);
    }
}

}  // namespace
