// What goes wrong for a pool at the same time as something else: kills while it changes its size, while its queue is
// full, while it shuts down; calls that nothing but SIGKILL ends; types that end the process that reads them.

#include <tercet/multiprocessing.hpp>

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <ranges>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "multiprocessing/worker_segment.hpp"
#include "process_probe.hpp"
#include "sanitizers.hpp"

namespace tercet::multiprocessing {
namespace {

using namespace std::chrono_literals;
using clock_type = std::chrono::steady_clock;

int own_pid() { return static_cast<int>(::getpid()); }
int twice(int x) { return 2 * x; }
std::size_t length(const std::string& text) { return text.size(); }
void stay(const std::string& here) {
    signpost::write(here, own_pid());
    for (;;) ::pause();
}
/// Nothing but SIGKILL ends it.
void work_on_deaf(const std::string& here) {
    sigset_t all;
    ::sigfillset(&all);
    ::sigprocmask(SIG_BLOCK, &all, nullptr);
    signpost::write(here, own_pid());
    for (std::atomic<unsigned> rounds = 0;;) ++rounds;
}

/// Ends a worker that reads or writes it.
struct deadly {
    int how = 0;

    template <class Archive>
    void serialize(Archive& archive) {
        archive(how);
        if (!in_worker()) return;
        if (how == 1) ::_exit(9);
        if (how == 2) ::raise(SIGKILL);
    }
};
int take(const deadly& each) { return each.how; }
deadly make(int how) { return {how}; }

/// Of the worker that calls this.
worker_segment::layout& own_segment() {
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);)
        if (line.find("/memfd:tercet-worker") != std::string::npos)
            // NOLINTNEXTLINE(performance-no-int-to-ptr): that is what stands there
            return *reinterpret_cast<worker_segment::layout*>(std::stoul(line, nullptr, 16));
    throw std::runtime_error("a worker has its segment mapped");
}
/// As a worker does that is killed when it was about to wake who waits for its answer. Returns when nobody sleeps so.
int die_before_the_waiter_is_woken() {
    auto& signal = own_segment().signal;
    for (const auto end = clock_type::now() + 500ms; clock_type::now() < end; std::this_thread::yield())
        if (auto wanted = answer_signal::wake_waiter; signal.compare_exchange_strong(wanted, answer_signal::none))
            ::raise(SIGKILL);
    return 0;
}

}  // namespace

TEST(process_pool_hardship, a_type_that_ends_the_worker_which_reads_or_writes_it_costs_its_own_call) {
    process_pool_executor pool(2);
    for (int round = 0; round < 3; ++round) {
        auto as_argument = pool.submit(take, deadly{1});
        auto good = pool.submit(take, deadly{5});
        auto as_result = pool.submit(make, 1);
        auto killed = pool.submit(make, 2);
        EXPECT_THROW(as_argument.result(), worker_died);
        EXPECT_THROW(as_result.result(), worker_died);
        EXPECT_THROW(killed.result(), worker_died);
        EXPECT_EQ(good.result(), 5);
    }
    EXPECT_EQ(pool.submit(make, 7).result().how, 7);
}

TEST(process_pool_hardship, a_worker_that_dies_before_it_wakes_who_waits_keeps_nobody_asleep) {
    process_pool_executor pool(1);
    bool has_died = false;
    for (int attempt = 0; attempt < 20 && !has_died; ++attempt) {
        pool.submit(own_pid).result();  // the next one has a worker at once, as a rule, and its waiter reads from that
        auto call = pool.submit(die_before_the_waiter_is_woken);
        const auto begin = clock_type::now();
        try {
            call.result(40s);
        } catch (const worker_died&) {
            has_died = true;
        }
        EXPECT_LT(clock_type::now() - begin, 20s);  // it is not the limit that has woken it
    }
    EXPECT_TRUE(has_died);
}

TEST(process_pool_hardship, a_stopped_worker_is_killed_when_the_time_of_its_call_is_over) {
    process_pool_executor pool(1);
    const auto stop = [] {
        ::raise(SIGSTOP);
        return own_pid();
    };
    const process_watch first(pool.submit(own_pid).result());
    auto in_the_middle = pool.submit({.timeout = 50ms}, stop);
    EXPECT_THROW(in_the_middle.result(20s), timeout_error);
    EXPECT_TRUE(first.ends_within(30'000));
    const pid_t second = pool.submit(own_pid).result();
    const process_watch watched(second);
    ::kill(second, SIGSTOP);
    wait_until_state(second, 'T');
    auto before_it_begins = pool.submit({.timeout = 50ms}, own_pid);
    EXPECT_THROW(before_it_begins.result(20s), timeout_error);
    EXPECT_TRUE(watched.ends_within(30'000));
    EXPECT_NE(pool.submit(own_pid).result(20s), second);
}

TEST(process_pool_hardship, a_call_that_has_blocked_all_signals_and_never_sleeps_can_be_ended) {
    const signpost here;
    process_pool_executor pool(1);
    auto late = pool.submit({.timeout = 50ms}, work_on_deaf, here.path());
    const process_watch first(here.next());
    EXPECT_THROW(late.result(20s), timeout_error);
    EXPECT_TRUE(first.ends_within(30'000));
    auto unwanted = pool.submit(work_on_deaf, here.path());
    const process_watch second(here.next());
    EXPECT_TRUE(pool.cancel_running(unwanted));
    EXPECT_THROW(unwanted.result(20s), cancelled_error);
    EXPECT_TRUE(second.ends_within(30'000));
    EXPECT_EQ(pool.submit(twice, 2).result(20s), 4);
}

TEST(process_pool_hardship, a_call_is_ended_soon_after_its_time_while_other_calls_keep_the_pool_busy) {
    process_pool_executor pool(2);
    std::jthread others([&](const std::stop_token& stop) {
        while (!stop.stop_requested()) {
            std::vector<future<int>> calls;
            for (int i = 0; i < 100; ++i) calls.push_back(pool.submit(twice, i));
            for (auto& each : calls) each.result();
        }
    });
    const signpost here;
    auto least = clock_type::duration::max();  // others may have the machine, too
    for (int i = 0; i < 5; ++i) {
        auto call = pool.submit({.timeout = 100ms}, stay, here.path());
        here.next();
        const auto begin = clock_type::now();
        EXPECT_THROW(call.result(20s), timeout_error);
        least = std::min(least, clock_type::now() - begin);
    }
    EXPECT_LT(least, 150ms);
}

TEST(process_pool_hardship, a_worker_that_is_killed_with_a_full_line_costs_none_of_the_calls_it_had_not_begun) {
    process_pool_executor pool(1);
    std::size_t most = 0;
    for (int attempt = 0; attempt < 10 && most < 10; ++attempt) {
        const pid_t worker = pool.submit(own_pid).result();
        std::vector<future<std::size_t>> calls;
        for (int i = 0; i < 1'000; ++i) calls.push_back(pool.submit(length, ""));  // so short that many may stand there
        for (auto& each : calls) each.result();
        calls.clear();
        ::kill(worker, SIGSTOP);
        wait_until_state(worker, 'T');
        for (int i = 0; i < 1'000; ++i) calls.push_back(pool.submit(length, std::string(i % 2 == 0 ? 3'000 : 9, 'x')));
        most = std::max(most, pool.statistics().running);
        ::kill(worker, SIGKILL);
        for (std::size_t i = 0; i < calls.size(); ++i) EXPECT_EQ(calls[i].result(30s), i % 2 == 0 ? 3'000U : 9U);
    }
    if (is_under_address_sanitizer || is_under_thread_sanitizer) return;  // where calls take too long for that
    EXPECT_GE(most, 10U);
}

TEST(process_pool_hardship, resizing_under_load_while_workers_are_killed_loses_no_call) {
    process_pool_executor pool(1);
    int kills = 0;
    for (std::size_t round = 0; round < 200; ++round) {
        std::vector<future<int>> calls;
        for (int i = 0; i < 50; ++i) calls.push_back(pool.submit({.retries = 1'000}, twice, i));
        pool.resize(1 + round % 4);
        if (const auto pids = pool.worker_pids(); round % 10 == 0 && !pids.empty())
            kills += kill_worker(pids.front(), SIGKILL) ? 1 : 0;
        for (int i = 0; i < 50; ++i) EXPECT_EQ(calls[static_cast<std::size_t>(i)].result(30s), 2 * i);
    }
    EXPECT_GT(kills, 0);
}

TEST(process_pool_hardship, a_pool_whose_idle_workers_have_left_can_be_made_larger_and_loses_one_then) {
    process_pool_executor pool({.max_workers = 1, .idle_timeout = time_limit(5ms)});
    const process_watch first(pool.submit(own_pid).result());
    EXPECT_TRUE(first.ends_within(30'000));
    pool.resize(2);
    const signpost here;
    auto one = pool.submit(stay, here.path());
    auto other = pool.submit(stay, here.path());
    const std::set<pid_t> both{here.next(), here.next()};
    EXPECT_EQ(both.size(), 2U);
    for (const pid_t each : both) ::kill(each, SIGKILL);
    EXPECT_THROW(one.result(20s), worker_died);
    EXPECT_THROW(other.result(20s), worker_died);
    EXPECT_EQ(pool.submit(twice, 4).result(20s), 8);
}

TEST(process_pool_hardship, a_call_that_comes_just_when_an_idle_worker_leaves_is_made) {
    process_pool_executor pool({.max_workers = 1, .idle_timeout = time_limit(1ms)});
    std::set<int> pids;
    for (int i = 0; i < 100; ++i) {
        pids.insert(pool.submit(own_pid).result(20s));
        const auto end = clock_type::now() + 900us + i * 3us;
        while (clock_type::now() < end) {
        }
    }
    EXPECT_GT(pids.size(), 1U);  // some have left, else none was caught at it
}

TEST(process_pool_hardship, what_is_submitted_while_it_shuts_down_is_done_or_refused) {
    for (int round = 0; round < 20; ++round) {
        process_pool_executor pool(2);
        std::vector<future<int>> calls;
        std::atomic<bool> has_begun = false;
        std::thread submits([&] {
            try {
                for (int i = 0;; ++i) {
                    calls.push_back(pool.submit(twice, i));
                    has_begun = true;
                }
            } catch (const executor_shutdown&) {
                has_begun = true;
            }
        });
        while (!has_begun) std::this_thread::yield();
        pool.shutdown({.wait = true, .cancel_futures = round % 2 != 0});
        submits.join();
        for (std::size_t i = 0; i < calls.size(); ++i) {
            ASSERT_TRUE(calls[i].done());
            if (!calls[i].cancelled()) {
                EXPECT_EQ(calls[i].result(), 2 * static_cast<int>(i));
            }
        }
    }
}

TEST(process_pool_hardship, workers_that_die_while_it_shuts_down_cost_their_calls) {
    for (int round = 0; round < 10; ++round) {
        std::vector<future<int>> deaths;
        std::vector<future<int>> calls;
        {
            process_pool_executor pool(2);
            for (int i = 0; i < 10; ++i) {
                deaths.push_back(pool.submit([]() -> int { ::_exit(3); }));
                calls.push_back(pool.submit(twice, i));
            }
        }
        for (auto& each : deaths) EXPECT_THROW(each.result(0s), worker_died);
        for (int i = 0; i < 10; ++i) EXPECT_EQ(calls[static_cast<std::size_t>(i)].result(0s), 2 * i);
    }
}

TEST(process_pool_hardship, a_pool_goes_while_workers_leave_that_have_made_all_their_calls) {
    for (int round = 0; round < 10; ++round) {
        std::vector<future<int>> calls;
        {
            process_pool_executor pool({.max_workers = 2, .max_tasks_per_child = 1});
            for (int i = 0; i < 6; ++i) calls.push_back(pool.submit(twice, i));
        }
        for (int i = 0; i < 6; ++i) EXPECT_EQ(calls[static_cast<std::size_t>(i)].result(0s), 2 * i);
    }
}

TEST(process_pool_hardship, a_python_pool_whose_workers_make_few_calls_finishes_what_it_had_when_it_was_closed) {
    multiprocessing::pool workers(process_pool_options{.max_workers = 2, .max_tasks_per_child = 2});
    auto doubled = workers.map_async(twice, std::views::iota(0, 40), 3);
    workers.close();
    workers.join();
    const auto results = doubled.get();
    ASSERT_EQ(results.size(), 40U);
    for (int i = 0; i < 40; ++i) EXPECT_EQ(results[static_cast<std::size_t>(i)], 2 * i);
    EXPECT_THROW(workers.apply(twice, 1), invalid_state_error);
}

TEST(process_pool_hardship, input_that_throws_fails_the_map_and_the_pool_goes_on) {
    multiprocessing::pool workers(2);
    const auto bad = std::views::iota(0, 10) | std::views::transform([](int i) {
                         if (i == 7) throw std::out_of_range("seven");
                         return i;
                     });
    EXPECT_THROW(workers.map(twice, bad), std::out_of_range);
    EXPECT_THROW(workers.map_async(twice, bad), std::out_of_range);
    EXPECT_THROW(workers.starmap(twice, bad | std::views::transform([](int i) { return std::tuple(i); })),
                 std::out_of_range);
    EXPECT_EQ(workers.apply(twice, 3), 6);
}

TEST(process_pool_hardship, a_call_that_ends_its_process_by_the_c_library_costs_itself_alone) {
    process_pool_executor pool(1);
    const auto code_of = [](future<int> call) {
        try {
            call.result(20s);
        } catch (const worker_died& death) {
            return death.exit_code();
        }
        return -2;
    };
    EXPECT_EQ(code_of(pool.submit([]() -> int { std::quick_exit(4); })), 4);
    // In a process that was forked the sanitizer takes what live frames have for leaks, and changes the exit code.
    if (const int code = code_of(pool.submit([]() -> int { std::exit(3); })); !is_under_address_sanitizer) {
        EXPECT_EQ(code, 3);
    }
    EXPECT_EQ(pool.submit(twice, 2).result(20s), 4);
}

TEST(process_pool_hardship, two_hundred_thousand_calls_leave_no_memory_behind) {
    if (is_under_address_sanitizer || is_under_thread_sanitizer) GTEST_SKIP() << "they keep what was freed";
    process_pool_executor pool(1);
    const pid_t worker = pool.submit(own_pid).result();
    const auto make_calls = [&](int batches) {
        for (int batch = 0; batch < batches; ++batch) {
            std::vector<future<std::size_t>> calls;
            for (int i = 0; i < 1'000; ++i) calls.push_back(pool.submit(length, std::string(40, 'x')));
            for (auto& each : calls) each.result();
        }
    };
    make_calls(20);
    const std::array<long, 2> before{resident_pages(::getpid()), resident_pages(worker)};
    make_calls(200);
    EXPECT_LT(resident_pages(::getpid()), before[0] + 256);
    EXPECT_LT(resident_pages(worker), before[1] + 256);
}

TEST(process_pool_hardship, idle_workers_and_their_server_sleep_on) {
    process_pool_executor pool(2);
    const pid_t worker = pool.submit(own_pid).result();
    const pid_t server = only_child();
    wait_until_asleep(worker);
    wait_until_asleep(server);
    const std::array<long, 2> before{times_asleep(worker), times_asleep(server)};
    std::this_thread::sleep_for(1s);                             // it is the time that is measured
    const long own_thread = is_under_thread_sanitizer ? 20 : 0;  // it looks every 100 ms
    EXPECT_LE(times_asleep(worker), before[0] + 1 + own_thread);
    EXPECT_LE(times_asleep(server), before[1] + 1 + own_thread);
}

}  // namespace tercet::multiprocessing
