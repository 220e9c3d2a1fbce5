#include <tercet/futures/blocking_ban.hpp>
#include <tercet/threading/event.hpp>
#include <tercet/threading/parallel.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <latch>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using namespace tercet;
using namespace tercet::threading;

TEST(parallel_for, visits_every_index_once) {
    for (const std::size_t threads : {1U, 2U, 4U}) {
        thread_pool_executor pool(threads);
        for (const std::size_t grain : {0U, 1U, 7U, 100'000U}) {
            std::vector<std::atomic<int>> visits(10'000);
            parallel_for(pool, 10, visits.size(), [&](std::size_t i) { ++visits[i]; }, {.grain = grain});
            for (std::size_t i = 0; i < visits.size(); ++i) ASSERT_EQ(visits[i], i < 10 ? 0 : 1) << i;
        }
    }
}

TEST(parallel_for, of_an_empty_range_does_nothing) {
    thread_pool_executor pool(2);
    parallel_for(pool, 5, 5, [](std::size_t) { FAIL(); });
    parallel_for(pool, 6, 5, [](std::size_t) { FAIL(); });
    EXPECT_EQ(pool.workers(), 0U);
}

TEST(parallel_for, uses_more_than_one_thread_when_items_take_their_time) {
    std::latch both(2);
    thread_pool_executor pool(2);
    parallel_for(pool, 0, 2, [&](std::size_t) { both.arrive_and_wait(); }, {.grain = 1});
}

TEST(parallel_for, throws_what_an_item_threw_after_the_others_ended) {
    thread_pool_executor pool(2);
    std::atomic<int> inside{0};
    EXPECT_THROW(parallel_for(pool, 0, 1000,
                              [&](std::size_t i) {
                                  ++inside;
                                  if (i == 500) throw std::runtime_error("500");
                                  --inside;
                              },
                              {.grain = 1}),
                 std::runtime_error);
    EXPECT_EQ(inside, 1);
    EXPECT_EQ(pool.submit([] { return 1; }).result(), 1);
}

TEST(parallel_for, may_be_nested) {
    thread_pool_executor pool(2);
    std::atomic<long> sum{0};
    parallel_for(pool, 0, 30, [&](std::size_t i) {
        parallel_for(pool, 0, 30, [&](std::size_t j) { sum += static_cast<long>(i * j); });
    });
    EXPECT_EQ(sum, 435L * 435);
}

TEST(parallel_for, calls_on_the_calling_thread_too_and_on_no_more_than_max_workers_in_all) {
    std::latch all(3);
    thread_pool_executor pool(3);
    std::mutex lock;
    std::set<std::thread::id> threads;
    parallel_for(pool, 0, 60,
                 [&](std::size_t) {
                     {
                         const std::lock_guard guard(lock);
                         if (!threads.insert(std::this_thread::get_id()).second) return;
                     }
                     all.arrive_and_wait();
                 },
                 {.grain = 1});
    EXPECT_EQ(threads.size(), 3U);
    EXPECT_TRUE(threads.contains(std::this_thread::get_id()));
}

TEST(parallel_for, items_that_wait_for_each_other_get_all_threads_that_may_be_started) {
    for (const bool is_one_busy : {false, true})
        for (int round = 0; round < 50; ++round) {
            std::latch door(1);
            std::latch inside(1);
            std::latch all(4);
            thread_pool_executor pool(4);
            future<void> busy;
            if (is_one_busy) {
                busy = pool.submit([&] {
                    inside.count_down();
                    door.wait();
                });
                inside.wait();
            }
            parallel_for(pool, 0, 4, [&](std::size_t) { all.arrive_and_wait(); }, {.grain = 1});
            door.count_down();
        }
}

TEST(parallel_for, items_behind_one_that_takes_long_are_done_by_others) {
    for (const bool is_inside : {false, true}) {
        thread_pool_executor pool(2);
        event others_are_done;
        std::atomic<int> left{63};
        bool were_done = false;
        const auto work = [&] {
            parallel_for(pool, 0, 64,
                         [&](std::size_t i) {
                             if (i == 0)
                                 were_done = others_are_done.wait(20s);
                             else if (--left == 0)
                                 others_are_done.set();
                         },
                         {.grain = 1});
        };
        is_inside ? pool.submit(work).result() : work();
        EXPECT_TRUE(were_done);
    }
}

/// `parallel_for` on four threads, each of which comes to one item and waits there for its door; the caller's is the
/// first one.
struct team_of_four {
    void run() {
        const auto caller = std::this_thread::get_id();
        parallel_for(pool, 0, 4,
                     [&](std::size_t) {
                         const std::size_t here = std::this_thread::get_id() == caller ? 0 : ++helpers;
                         all.count_down();
                         doors[here].wait();
                     },
                     {.grain = 1});
    }
    std::array<event, 4> doors;
    std::atomic<std::size_t> helpers{0};
    std::latch all{4};
    thread_pool_executor pool{4};
};

TEST(parallel_for, does_not_wait_for_a_call_that_one_of_its_threads_has_taken_up) {
    for (std::size_t first = 0; first < 4; ++first) {
        event is_over;
        event other_may_end;
        std::latch other_has_begun(1);
        team_of_four team;
        std::latch busy_has_begun(1);
        auto busy = team.pool.submit([&] {
            busy_has_begun.count_down();
            other_may_end.wait();
        });
        busy_has_begun.wait();
        std::jthread caller([&] {
            team.run();
            is_over.set();
        });
        team.all.wait();
        auto other = team.pool.submit([&] {
            other_has_begun.count_down();
            other_may_end.wait();
        });
        team.doors[first].set();  // that of the caller, or of a thread that takes up the other call
        if (first != 0) other_has_begun.wait();
        for (event& each : team.doors) each.set();
        EXPECT_TRUE(is_over.wait(20s)) << first;
        other_may_end.set();
    }
}

TEST(parallel_for, does_not_wait_for_calls_that_its_items_have_submitted) {
    event may_end;
    thread_pool_executor pool(2);  // waits for what was posted, too
    std::latch is_busy(1);
    auto busy = pool.submit([&] {
        is_busy.count_down();
        may_end.wait();
    });
    is_busy.wait();
    event is_over;
    auto call = pool.submit([&] {
        parallel_for(pool, 0, 4, [&](std::size_t) { pool.post([&] { may_end.wait(); }); }, {.grain = 1});
        is_over.set();
    });
    EXPECT_TRUE(is_over.wait(20s));
    may_end.set();
    call.result();
    busy.result();
}

TEST(parallel_for, does_all_by_itself_while_no_thread_of_the_pool_has_time) {
    for (const when_full policy : {when_full::block, when_full::fail, when_full::caller_runs}) {
        std::latch go_on(1);
        std::latch busy(2);
        thread_pool_executor pool({.max_workers = 2, .queue_size = 1, .when_full = policy});
        const auto wait = [&] {
            busy.count_down();
            go_on.wait();
        };
        auto one = pool.submit(wait);
        while (pool.statistics().queued != 0) std::this_thread::yield();
        auto two = pool.submit(wait);
        busy.wait();
        for (int round = 0; round < 2; ++round) {  // the queue has room, then it is full
            long sum = 0;
            parallel_for(pool, 0, 100, [&](std::size_t i) { sum += static_cast<long>(i); }, {.grain = 1});
            EXPECT_EQ(sum, 4950);
            EXPECT_EQ(parallel_reduce(pool, 0, 100, 0UL, [](std::size_t i) { return i; }, std::plus(), {.grain = 1}),
                      4950UL);
        }
        go_on.count_down();
        one.result();
        two.result();
    }
}

TEST(parallel_for, on_a_pool_that_was_shut_down_is_an_error_before_anything_is_called) {
    thread_pool_executor pool(2);
    pool.shutdown();
    EXPECT_THROW(parallel_for(pool, 0, 10, [](std::size_t) { FAIL(); }), executor_shutdown);
}

TEST(parallel_for, on_the_thread_of_an_event_loop_is_an_error_before_anything_is_called) {
    thread_pool_executor pool(2);
    const blocking_ban ban("await it");
    EXPECT_THROW(parallel_for(pool, 0, 10, [](std::size_t) { FAIL(); }), invalid_state_error);
}

TEST(parallel_reduce, joins_in_the_order_of_the_range) {
    thread_pool_executor pool(3);
    const auto letter = [](std::size_t i) { return std::string(1, static_cast<char>('a' + i % 26)); };
    std::string expected = "first:";
    for (std::size_t i = 3; i < 500; ++i) expected += letter(i);
    for (const std::size_t grain : {0U, 1U, 10U})
        EXPECT_EQ(parallel_reduce(pool, 3, 500, std::string("first:"), letter, std::plus(), {.grain = grain}),
                  expected);
}

TEST(parallel_reduce, of_an_empty_range_is_its_first_value) {
    thread_pool_executor pool(1);
    EXPECT_EQ(parallel_reduce(
                  pool, 1, 1, 42, [](std::size_t) { return 1; }, std::plus()),
              42);
}

TEST(parallel_reduce, throws_what_an_item_threw) {
    thread_pool_executor pool(2);
    const auto item = [](std::size_t i) -> long { return i == 77 ? throw std::runtime_error("77") : 1; };
    EXPECT_THROW(parallel_reduce(pool, 0, 200, 0L, item, std::plus(), {.grain = 1}), std::runtime_error);
}

struct counted {
    explicit counted(long number) : value(number) { note(); }
    counted(counted&& other) noexcept : value(other.value) { note(); }
    counted& operator=(counted&& other) noexcept = default;
    ~counted() { --alive; }
    static void note() {
        const int now = ++alive;
        int before = most;
        while (now > before && !most.compare_exchange_weak(before, now)) {
        }
    }
    long value;
    static inline std::atomic<int> alive{0};
    static inline std::atomic<int> most{0};
};

TEST(parallel_reduce, keeps_few_values_at_a_time) {
    thread_pool_executor pool(2);
    const auto caller = std::this_thread::get_id();
    std::atomic<bool> caller_is_inside{false};
    std::atomic<bool> helper_is_inside{false};
    const auto item = [&](std::size_t i) {
        (std::this_thread::get_id() == caller ? caller_is_inside : helper_is_inside) = true;
        while (i % 16 == 0 || !caller_is_inside || !helper_is_inside) {  // they take turns
            std::this_thread::yield();
            if (caller_is_inside && helper_is_inside) break;
        }
        return counted(static_cast<long>(i));
    };
    const auto join = [](counted a, counted b) { return counted(a.value + b.value); };
    EXPECT_EQ(parallel_reduce(pool, 0, 20'000, counted(0), item, join, {.grain = 1}).value, 199'990'000);
    EXPECT_LT(counted::most, 50);
}

int unread_errors = 0;

TEST(parallel_for, after_an_error_what_had_not_begun_does_not_begin_and_nothing_is_reported) {
    unread_errors = 0;
    const auto before =
        set_unread_error_hook([](const std::exception_ptr&, std::string_view) noexcept { ++unread_errors; });
    for (const std::size_t threads : {1U, 3U}) {
        thread_pool_executor pool(threads);
        std::atomic<int> ran{0};
        EXPECT_THROW(parallel_for(pool, 0, 10'000,
                                  [&](std::size_t i) {
                                      ++ran;
                                      if (i == 0) throw std::runtime_error("first");
                                      if (threads == 1) return;
                                      while (ran == 1) std::this_thread::yield();
                                      throw std::out_of_range("later");
                                  },
                                  {.grain = 1}),
                     std::exception);
        EXPECT_LT(ran, 20);
    }
    set_unread_error_hook(before);
    EXPECT_EQ(unread_errors, 0);
}

TEST(parallel_reduce, after_an_error_what_had_not_begun_does_not_begin_and_nothing_is_reported) {
    unread_errors = 0;
    const auto before =
        set_unread_error_hook([](const std::exception_ptr&, std::string_view) noexcept { ++unread_errors; });
    thread_pool_executor pool(1);
    int ran = 0;
    const auto item = [&](std::size_t i) -> long {
        ++ran;
        return i == 0 ? throw std::runtime_error("first") : 1;
    };
    EXPECT_THROW(parallel_reduce(pool, 0, 10'000, 0L, item, std::plus(), {.grain = 1}), std::runtime_error);
    EXPECT_LT(ran, 20);
    set_unread_error_hook(before);
    EXPECT_EQ(unread_errors, 0);
}

}  // namespace
