// How many workers a pool has, how long they stay, and how they are made to end.

#include <tercet/multiprocessing.hpp>
#include <tercet/threading.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <map>
#include <memory>
#include <numeric>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "error_text.hpp"
#include "process_probe.hpp"

namespace tercet::multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

int own_pid() { return static_cast<int>(::getpid()); }
int pass(const std::string& here, const std::string& gate) {
    signpost::write(here, static_cast<int>(::getpid()));
    signpost::read(gate);
    return static_cast<int>(::getpid());
}
void stay(const std::string& here) {
    signpost::write(here, static_cast<int>(::getpid()));
    for (;;) ::pause();
}

constexpr std::size_t mebibyte = std::size_t{1} << 20U;

/// Has that much memory from now on.
int grow(std::size_t bytes) {
    static auto* const kept = new std::vector<std::string>;  // what the optimiser cannot leave out
    kept->emplace_back(bytes, 'x');
    return own_pid();
}
void grow_and_stay(std::size_t bytes) {
    grow(bytes);
    for (;;) ::pause();
}

class process_pool_lives : public testing::Test {
protected:
    /// Makes `count` workers work at the same time, and returns their pids.
    std::set<pid_t> meet(process_pool_executor& pool, std::size_t count) {
        std::vector<future<int>> calls;
        for (std::size_t i = 0; i < count; ++i) calls.push_back(pool.submit(pass, here.path(), gate.path()));
        std::set<pid_t> pids;
        for (std::size_t i = 0; i < count; ++i) pids.insert(here.next());
        for (std::size_t i = 0; i < count; ++i) signpost::write(gate.path(), 1);
        for (auto& each : calls) each.result();
        return pids;
    }

    signpost here;
    signpost gate;
};

TEST_F(process_pool_lives, a_worker_makes_no_more_calls_than_it_may) {
    process_pool_executor pool({.max_workers = 2, .max_tasks_per_child = 3});
    std::vector<future<int>> calls;
    for (int i = 0; i < 60; ++i) calls.push_back(pool.submit(own_pid));
    std::map<int, int> made;
    for (auto& each : calls) ++made[each.result()];
    EXPECT_GE(made.size(), 20U);
    for (const auto& [pid, count] : made) EXPECT_LE(count, 3) << pid;
    EXPECT_EQ(pool.statistics().died, 0U);
}

TEST_F(process_pool_lives, a_worker_that_left_after_its_last_call_has_ended) {
    process_pool_executor pool({.max_workers = 1, .max_tasks_per_child = 1});
    auto call = pool.submit(pass, here.path(), gate.path());
    const process_watch worker(here.next());
    signpost::write(gate.path(), 1);
    const int first = call.result();
    EXPECT_TRUE(worker.ends_within(30'000));
    EXPECT_NE(pool.submit(own_pid).result(), first);
}

TEST_F(process_pool_lives, idle_workers_leave_down_to_those_that_are_to_stay) {
    process_pool_executor pool({.max_workers = 3, .min_workers = 1, .idle_timeout = 30ms});
    const auto pids = meet(pool, 3);
    ASSERT_EQ(pids.size(), 3U);
    while (pool.statistics().workers > 1) std::this_thread::yield();
    std::vector<process_watch> watches;
    for (const pid_t pid : pids) watches.emplace_back(pid);
    while (std::ranges::count_if(watches, [](const auto& each) { return each.ends_within(0); }) < 2)
        std::this_thread::yield();
    EXPECT_TRUE(pids.contains(pool.submit(own_pid).result()));
    EXPECT_EQ(pool.statistics().died, 0U);
    EXPECT_EQ(pool.statistics().started, 3U);
}

TEST_F(process_pool_lives, a_pool_whose_workers_have_all_left_starts_others) {
    process_pool_executor pool({.max_workers = 1, .idle_timeout = 10ms});
    auto call = pool.submit(pass, here.path(), gate.path());
    const process_watch worker(here.next());
    signpost::write(gate.path(), 1);
    call.result();
    EXPECT_TRUE(worker.ends_within(30'000));
    EXPECT_EQ(pool.submit([](int x) { return x + 1; }, 1).result(), 2);
}

TEST_F(process_pool_lives, a_call_that_needs_too_much_memory_loses_its_worker) {
    process_pool_executor pool({.max_workers = 1, .worker_memory_limit = 512 * mebibyte});
    auto call = pool.submit(grow_and_stay, 700 * mebibyte);
    const std::string text = text_of(call);
    EXPECT_THAT(text, HasSubstr("SIGKILL"));
    EXPECT_THAT(text, HasSubstr("MiB of memory, the limit is 512 MiB"));
    EXPECT_THROW(call.result(), worker_died);
    EXPECT_GT(pool.submit(own_pid).result(), 0);
}

TEST_F(process_pool_lives, an_idle_worker_that_has_grown_is_replaced) {
    const auto grow_later = [](const std::string& gate_path) {
        std::thread([gate_path] {
            signpost::read(gate_path);
            grow(700 * mebibyte);
        }).detach();
        return own_pid();
    };
    process_pool_executor pool({.max_workers = 1, .worker_memory_limit = 512 * mebibyte});
    const int first = pool.submit(grow_later, gate.path()).result();
    const process_watch worker(first);
    signpost::write(gate.path(), 1);
    EXPECT_TRUE(worker.ends_within(30'000));
    EXPECT_NE(pool.submit(own_pid).result(), first);
    EXPECT_EQ(pool.statistics().died, 0U);
}

TEST_F(process_pool_lives, a_pool_can_be_made_larger_and_smaller) {
    process_pool_executor pool(1);
    EXPECT_EQ(meet(pool, 1).size(), 1U);
    pool.resize(3);
    EXPECT_EQ(pool.max_workers(), 3U);
    const auto pids = meet(pool, 3);
    EXPECT_EQ(pids.size(), 3U);
    std::vector<process_watch> watches;
    for (const pid_t pid : pids) watches.emplace_back(pid);
    pool.resize(1);
    while (std::ranges::count_if(watches, [](const auto& each) { return each.ends_within(0); }) < 2)
        std::this_thread::yield();
    EXPECT_TRUE(pids.contains(pool.submit(own_pid).result()));
    EXPECT_EQ(pool.statistics().workers, 1U);
    EXPECT_THROW(pool.resize(0), std::invalid_argument);
}

TEST_F(process_pool_lives, a_busy_worker_leaves_a_smaller_pool_after_its_call) {
    process_pool_executor pool(2);
    std::vector<future<int>> calls;
    for (int i = 0; i < 2; ++i) calls.push_back(pool.submit(pass, here.path(), gate.path()));
    const process_watch one(here.next());
    const process_watch other(here.next());
    pool.resize(1);
    EXPECT_FALSE(one.ends_within(0));
    EXPECT_FALSE(other.ends_within(0));
    for (int i = 0; i < 2; ++i) signpost::write(gate.path(), 1);
    for (auto& each : calls) EXPECT_GT(each.result(), 0);
    while (!one.ends_within(0) && !other.ends_within(0)) std::this_thread::yield();
    EXPECT_GT(pool.submit(own_pid).result(), 0);
}

TEST_F(process_pool_lives, a_pool_may_be_resized_before_its_first_call) {
    process_pool_executor pool(1);
    pool.resize(2);
    EXPECT_EQ(meet(pool, 2).size(), 2U);
}

TEST_F(process_pool_lives, warm_up_starts_all_workers) {
    process_pool_executor pool(2);
    pool.warm_up();
    while (pool.worker_pids().size() < 2) std::this_thread::yield();
    EXPECT_EQ(meet(pool, 2).size(), 2U);
    EXPECT_EQ(pool.statistics().started, 2U);
    pool.shutdown();
    EXPECT_THROW(pool.warm_up(), executor_shutdown);
}

TEST_F(process_pool_lives, the_workers_that_are_to_stay_start_with_the_first_call) {
    process_pool_executor pool({.max_workers = 3, .min_workers = 2});
    EXPECT_GT(pool.submit(own_pid).result(), 0);
    while (pool.worker_pids().size() < 2) std::this_thread::yield();
    EXPECT_EQ(pool.statistics().started, 2U);
}

TEST_F(process_pool_lives, a_running_call_can_be_cancelled_and_the_others_go_on) {
    const signpost slow;
    process_pool_executor pool(2);
    auto other = pool.submit(pass, here.path(), gate.path());
    const pid_t innocent = here.next();
    auto call = pool.submit(stay, slow.path());
    const process_watch worker(slow.next());
    EXPECT_FALSE(call.cancel());  // as Python has it
    EXPECT_TRUE(pool.cancel_running(call));
    EXPECT_THROW(call.result(), cancelled_error);
    EXPECT_TRUE(call.cancelled());
    EXPECT_TRUE(worker.ends_within(30'000));
    EXPECT_FALSE(pool.cancel_running(call));
    signpost::write(gate.path(), 1);
    EXPECT_EQ(other.result(), innocent);
}

TEST_F(process_pool_lives, a_cancelled_call_is_not_made_again) {
    const signpost slow;
    process_pool_executor pool(1);
    auto call = pool.submit({.retries = 5}, stay, slow.path());
    slow.next();
    EXPECT_TRUE(pool.cancel_running(call));
    EXPECT_THROW(call.result(), cancelled_error);
    EXPECT_GT(pool.submit(own_pid).result(), 0);
    EXPECT_EQ(pool.statistics().started, 2U);
}

TEST_F(process_pool_lives, a_call_that_waits_or_stands_behind_another_is_cancelled_without_harm) {
    process_pool_executor pool(1);
    for (int i = 0; i < 300; ++i)
        pool.submit(own_pid).result();  // calls count as short, and stand several with a worker
    auto front = pool.submit(pass, here.path(), gate.path());
    const pid_t worker = here.next();
    std::vector<future<int>> behind;
    for (int i = 0; i < 200; ++i) behind.push_back(pool.submit(own_pid));
    for (auto& each : behind) EXPECT_TRUE(pool.cancel_running(each));
    for (auto& each : behind) EXPECT_THROW(each.result(), cancelled_error);
    EXPECT_FALSE(front.done());
    signpost::write(gate.path(), 1);
    EXPECT_EQ(front.result(), worker);
    EXPECT_EQ(pool.submit(own_pid).result(), worker);
}

TEST_F(process_pool_lives, who_waits_for_a_call_hears_of_its_cancellation) {
    process_pool_executor pool(1);
    const pid_t worker = pool.submit(own_pid).result();
    for (int i = 0; i < 20; ++i) {
        ::kill(worker, SIGSTOP);  // it cannot begin
        wait_until_state(worker, 'T');
        auto call = pool.submit({.name = "waits"}, own_pid);
        std::jthread waiter([&] { EXPECT_THROW(call.result(), cancelled_error); });
        EXPECT_TRUE(pool.cancel_running(call));
        waiter.join();
        ::kill(worker, SIGCONT);
    }
    EXPECT_EQ(pool.submit(own_pid).result(), worker);
    EXPECT_EQ(pool.statistics().died, 0U);
}

TEST_F(process_pool_lives, a_call_that_waits_to_be_made_again_is_cancelled_at_once) {
    process_pool_executor pool(1);
    auto again = pool.submit({.retries = 1}, stay, here.path());
    const pid_t first = here.next();
    auto urgent = pool.submit({.priority = 10'000}, pass, here.path(), gate.path());
    ::kill(first, SIGKILL);
    while (pool.statistics().died == 0) std::this_thread::yield();
    pool.cancel_running(again);
    EXPECT_THROW(again.result(), cancelled_error);
    signpost::write(gate.path(), 1);
    EXPECT_GT(urgent.result(), 0);
}

TEST_F(process_pool_lives, a_call_that_is_over_or_of_another_pool_is_not_cancelled) {
    process_pool_executor pool(1);
    process_pool_executor other(1);
    auto done = pool.submit(own_pid);
    done.result();
    EXPECT_FALSE(pool.cancel_running(done));
    auto runs = other.submit(pass, here.path(), gate.path());
    here.next();
    EXPECT_FALSE(pool.cancel_running(runs));
    signpost::write(gate.path(), 1);
    EXPECT_GT(runs.result(), 0);
    threading::thread_pool_executor threads(1);
    auto in_a_thread = threads.submit([] { return 1; });
    EXPECT_EQ(in_a_thread.result(), 1);
    EXPECT_FALSE(pool.cancel_running(in_a_thread));
}

TEST_F(process_pool_lives, calls_and_their_cancellations_that_meet_end_each_call_once) {
    process_pool_executor pool(2);
    int cancelled = 0;
    int done = 0;
    for (int i = 0; i < 60; ++i) {
        std::vector<future<int>> calls;
        for (int j = 0; j < 8; ++j) calls.push_back(pool.submit(own_pid));
        pool.cancel_running(calls[static_cast<std::size_t>(i % 8)]);
        for (auto& each : calls) {
            try {
                EXPECT_GT(each.result(), 0);
                ++done;
            } catch (const cancelled_error&) {
                ++cancelled;
            }
        }
    }
    EXPECT_EQ(done + cancelled, 480);
    EXPECT_LE(cancelled, 60);
}

TEST_F(process_pool_lives, a_large_call_that_is_cancelled_before_its_worker_looks_leaves_nothing_on_its_line) {
    const auto sum = [](const std::vector<double>& all) { return std::accumulate(all.begin(), all.end(), 0.0); };
    for (const std::size_t count : {std::size_t{4'000}, std::size_t{200'000}}) {  // through the socket, and in a block
        process_pool_executor pool(1);
        EXPECT_GT(pool.submit(own_pid).result(), 0);
        const pid_t worker = pool.worker_pids().front();
        ::kill(worker, SIGSTOP);
        wait_until_state(worker, 'T');
        auto unwanted = pool.submit(sum, std::vector<double>(count, 1.0));
        while (pool.statistics().running == 0) std::this_thread::yield();
        EXPECT_TRUE(pool.cancel_running(unwanted));
        EXPECT_THROW(unwanted.result(), cancelled_error);
        ::kill(worker, SIGCONT);  // if it was spared
        for (int i = 2; i < 5; ++i)
            EXPECT_EQ(pool.submit(sum, std::vector<double>(count, i)).result(), i * static_cast<double>(count));
    }
}

TEST_F(process_pool_lives, kill_workers_ends_running_calls_and_cancels_those_that_wait) {
    process_pool_executor pool(1);
    auto runs = pool.submit(stay, here.path());
    const process_watch worker(here.next());
    auto waits = pool.submit(own_pid);
    pool.kill_workers();
    EXPECT_THROW(runs.result(), worker_died);
    EXPECT_THAT(text_of(runs), HasSubstr("SIGKILL (kill_workers() was called)"));
    EXPECT_THROW(waits.result(), cancelled_error);
    EXPECT_THROW(pool.submit(own_pid), executor_shutdown);
    EXPECT_TRUE(worker.ends_within(30'000));
    pool.shutdown();
}

TEST_F(process_pool_lives, terminate_workers_lets_them_say_goodbye) {
    const auto say_goodbye = [](const std::string& place) {
        static std::string path;
        path = place;
        std::signal(SIGTERM, [](int) {
            signpost::write(path, 17);
            ::_exit(0);
        });
        stay(place);
    };
    process_pool_executor pool(1);
    auto runs = pool.submit({.retries = 3}, say_goodbye, here.path());
    here.next();
    pool.terminate_workers();
    EXPECT_EQ(here.next(), 17);
    EXPECT_THAT(text_of(runs), HasSubstr("exit code 0 (terminate_workers() was called)"));
    pool.shutdown();
}

TEST_F(process_pool_lives, terminate_workers_also_ends_idle_ones_that_do_not_care) {
    const auto ignore = [] {
        std::signal(SIGTERM, SIG_IGN);
        return own_pid();
    };
    process_pool_executor pool(1);
    const process_watch worker(pool.submit(ignore).result());
    pool.terminate_workers();
    pool.shutdown({.timeout = 4s});  // which is less than the patience with those that do not leave
    EXPECT_TRUE(worker.ends_within(30'000));
}

TEST_F(process_pool_lives, kill_workers_before_the_first_call_is_a_shutdown) {
    process_pool_executor pool(1);
    pool.kill_workers();
    EXPECT_THROW(pool.submit(own_pid), executor_shutdown);
}

TEST_F(process_pool_lives, statistics_count_what_a_pool_does) {
    process_pool_executor pool(1);
    EXPECT_EQ(pool.statistics().started, 0U);
    auto runs = pool.submit(pass, here.path(), gate.path());
    const pid_t worker = here.next();
    auto waits = pool.submit(own_pid);
    auto now = pool.statistics();
    EXPECT_EQ(now.workers, 1U);
    EXPECT_EQ(now.queued + now.running, 2U);
    EXPECT_EQ(now.done, 0U);
    signpost::write(gate.path(), 1);
    EXPECT_EQ(runs.result(), worker);
    waits.result();
    ::kill(worker, SIGKILL);
    while (pool.statistics().died == 0) std::this_thread::yield();
    for (int i = 0; i < 200; ++i) pool.submit(own_pid).result();
    now = pool.statistics();
    EXPECT_EQ(now.workers, 1U);
    EXPECT_EQ(now.started, 2U);
    EXPECT_EQ(now.died, 1U);
    EXPECT_EQ(now.queued + now.running, 0U);
    EXPECT_EQ(now.done, 202U);
    EXPECT_EQ(std::accumulate(now.waits.begin(), now.waits.end(), std::uint64_t{0}), 4U);  // one in 64 of 202
}

TEST_F(process_pool_lives, workers_must_be_allowed_something) {
    EXPECT_THROW(process_pool_executor({.max_tasks_per_child = 0}), std::invalid_argument);
    EXPECT_THROW(process_pool_executor({.worker_memory_limit = 0}), std::invalid_argument);
}

}  // namespace
}  // namespace tercet::multiprocessing
