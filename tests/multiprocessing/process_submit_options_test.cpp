#include <tercet/multiprocessing.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <ranges>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "error_text.hpp"
#include "process_probe.hpp"

namespace tercet::multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

int echo(int x) { return x; }
int own_pid() { return static_cast<int>(::getpid()); }
/// Says where it is and ignores what can be ignored.
void stay(const std::string& here) {
    std::signal(SIGTERM, SIG_IGN);
    signpost::write(here, static_cast<int>(::getpid()));
    for (;;) ::pause();
}
int pass(const std::string& here, const std::string& gate) {
    signpost::write(here, static_cast<int>(::getpid()));
    return signpost::read(gate);
}
void tell(const std::string& here, int number) { signpost::write(here, number); }
/// Dies, when the gate says so; else gives its number.
int die_or_pass(const std::string& here, const std::string& gate) {
    if (pass(here, gate) == 0) ::_exit(7);
    return 5;
}
int die_at(int item, int bad) {
    if (item == bad) ::_exit(7);
    return item;
}
struct odd_item : std::runtime_error {
    using std::runtime_error::runtime_error;
};
const bool odd_is_registered = register_exception<odd_item>();
int refuse_odd(int item) {
    if (item % 2 != 0) throw odd_item(std::to_string(item));
    return item;
}

TEST(process_submit_options, a_running_call_whose_time_is_over_loses_its_worker_and_the_others_go_on) {
    const signpost slow;
    const signpost here;
    const signpost gate;
    process_pool_executor pool(2);
    auto other = pool.submit(pass, here.path(), gate.path());
    const pid_t innocent = here.next();
    auto late = pool.submit({.timeout = 50ms, .name = "rates"}, stay, slow.path());
    const pid_t doomed = slow.next();
    const process_watch worker(doomed);
    EXPECT_THROW(late.result(), timeout_error);
    EXPECT_THAT(text_of(late), HasSubstr("'rates' took longer than it may"));
    EXPECT_TRUE(worker.ends_within(30'000));
    const int next = pool.submit(own_pid).result();
    EXPECT_NE(next, doomed);
    EXPECT_NE(next, innocent);
    EXPECT_FALSE(other.done());
    signpost::write(gate.path(), 3);
    EXPECT_EQ(other.result(), 3);
    EXPECT_EQ(pool.max_workers(), 2U);
}

TEST(process_submit_options, many_calls_in_a_row_may_lose_their_workers) {
    const signpost slow;
    process_pool_executor pool(2);
    std::vector<future<void>> late;
    for (int i = 0; i < 6; ++i) late.push_back(pool.submit({.timeout = 20ms}, stay, slow.path()));
    for (auto& each : late) EXPECT_THROW(each.result(), timeout_error);
    EXPECT_EQ(pool.submit(echo, 4).result(), 4);
}

TEST(process_submit_options, a_deadline_ends_a_call_that_runs_and_one_that_waits) {
    const signpost slow;
    process_pool_executor pool(1);
    auto runs = pool.submit({.deadline = 300ms, .name = "first"}, stay, slow.path());
    slow.next();
    auto waits = pool.submit({.deadline = 20ms, .name = "second"}, echo, 1);
    EXPECT_THAT(text_of(waits), HasSubstr("'second' had not begun in time"));
    EXPECT_FALSE(runs.done());
    EXPECT_THAT(text_of(runs), HasSubstr("'first' took longer than it may"));
    EXPECT_EQ(pool.submit(echo, 4).result(), 4);
}

TEST(process_submit_options, a_call_that_may_be_made_again_survives_the_death_of_its_worker) {
    const signpost here;
    const signpost gate;
    process_pool_executor pool(1);
    auto call = pool.submit({.retries = 2}, die_or_pass, here.path(), gate.path());
    const int first = here.next();
    signpost::write(gate.path(), 0);
    const int second = here.next();
    EXPECT_NE(first, second);
    EXPECT_FALSE(call.done());
    signpost::write(gate.path(), 0);
    EXPECT_NE(here.next(), second);
    signpost::write(gate.path(), 1);
    EXPECT_EQ(call.result(), 5);
}

TEST(process_submit_options, a_call_dies_with_its_last_worker_by_its_name) {
    const signpost here;
    const signpost gate;
    process_pool_executor pool(1);
    auto call = pool.submit({.retries = 1, .name = "thumbnail"}, die_or_pass, here.path(), gate.path());
    for (int i = 0; i < 2; ++i) {
        here.next();
        signpost::write(gate.path(), 0);
    }
    EXPECT_THROW(call.result(), worker_died);
    EXPECT_THAT(text_of(call), HasSubstr("its task 'thumbnail' failed"));
}

TEST(process_submit_options, a_call_is_made_again_although_the_pool_is_shutting_down) {
    const signpost here;
    const signpost gate;
    process_pool_executor pool(1);
    auto call = pool.submit({.retries = 1}, die_or_pass, here.path(), gate.path());
    here.next();
    pool.shutdown({.wait = false});
    signpost::write(gate.path(), 0);
    here.next();
    signpost::write(gate.path(), 1);
    EXPECT_EQ(call.result(), 5);
    pool.shutdown();
    EXPECT_THAT(pool.worker_pids(), testing::IsEmpty());
}

TEST(process_submit_options, all_attempts_together_have_the_time_of_one_call) {
    const signpost here;
    const signpost gate;
    process_pool_executor pool(1);
    auto call = pool.submit({.timeout = 2s, .retries = 1'000}, die_or_pass, here.path(), gate.path());
    here.next();
    signpost::write(gate.path(), 0);
    here.next();
    EXPECT_THROW(call.result(), timeout_error);
}

TEST(process_submit_options, a_higher_priority_goes_first_and_equals_keep_their_order) {
    const signpost here;
    const signpost gate;
    const signpost order;
    process_pool_executor pool(1);
    auto first = pool.submit(pass, here.path(), gate.path());
    here.next();
    std::vector<future<void>> all;
    all.push_back(pool.submit(tell, order.path(), 0));
    all.push_back(pool.submit({.priority = -1}, tell, order.path(), -1));
    all.push_back(pool.submit({.priority = 1}, tell, order.path(), 1));
    all.push_back(pool.submit({.priority = 2}, tell, order.path(), 2));
    all.push_back(pool.submit({.priority = 1}, tell, order.path(), 11));
    all.push_back(pool.submit(tell, order.path(), 100));
    signpost::write(gate.path(), 1);
    std::vector<int> seen;
    for (int i = 0; i < 6; ++i) seen.push_back(order.next());
    EXPECT_THAT(seen, ElementsAre(2, 1, 11, 0, 100, -1));
}

TEST(process_submit_options, a_priority_overtakes_no_more_calls_than_its_steps_allow) {
    const signpost here;
    const signpost gate;
    process_pool_executor pool(1);
    auto first = pool.submit(pass, here.path(), gate.path());
    here.next();
    int done_before = 0;
    int overtaken = -1;
    std::vector<future<int>> all;
    for (int i = 0; i < 1'500; ++i) {
        all.push_back(pool.submit(echo, i));
        all.back().add_done_callback([&] { ++done_before; });
    }
    auto urgent = pool.submit({.priority = 1}, echo, 1);
    urgent.add_done_callback([&] { overtaken = 1'500 - done_before; });
    signpost::write(gate.path(), 1);
    pool.shutdown();
    EXPECT_GE(overtaken, 999);
    EXPECT_LE(overtaken, 1'001);
}

TEST(process_submit_options, a_call_that_waits_with_a_deadline_can_be_cancelled) {
    const signpost here;
    const signpost gate;
    process_pool_executor pool(1);
    auto first = pool.submit(pass, here.path(), gate.path());
    here.next();
    auto waits = pool.submit({.deadline = 1h, .priority = 3}, echo, 1);
    EXPECT_TRUE(waits.cancel());
    EXPECT_THROW(waits.result(), cancelled_error);
    auto other = pool.submit({.deadline = 1h, .priority = -3}, echo, 1);
    pool.shutdown({.wait = false, .cancel_futures = true});
    EXPECT_THROW(other.result(), cancelled_error);
    signpost::write(gate.path(), 1);
    EXPECT_EQ(first.result(), 1);
}

TEST(process_submit_options, a_deadline_and_a_shutdown_that_cancels_at_once_end_each_call_once) {
    for (int round = 0; round < 20; ++round) {
        const signpost here;
        const signpost gate;
        process_pool_executor pool(1);
        auto first = pool.submit(pass, here.path(), gate.path());
        here.next();
        std::vector<future<int>> all;
        std::atomic<int> ended{0};
        for (int i = 0; i < 50; ++i) {
            all.push_back(pool.submit({.deadline = 2ms}, echo, 1));
            all.back().add_done_callback([&] { ++ended; });
        }
        all.front().wait();
        pool.shutdown({.wait = false, .cancel_futures = true});
        signpost::write(gate.path(), 1);
        pool.shutdown();
        for (auto& each : all) EXPECT_ANY_THROW(each.result());
        EXPECT_EQ(ended, 50);
    }
}

/// Says that it is there, and sleeps until it is asked to stop.
int sleep_until_asked(std::stop_token stop, const std::string& here) {
    std::mutex mutex;
    std::condition_variable_any condition;
    std::unique_lock lock(mutex);
    signpost::write(here, own_pid());
    condition.wait(lock, stop, [] { return false; });
    return own_pid();
}

TEST(process_stop_token, wakes_a_call_that_sleeps_and_keeps_its_worker) {
    const signpost here;
    process_pool_executor pool(1);
    auto sleeps = pool.submit(sleep_until_asked, here.path());
    const int worker = here.next();
    EXPECT_FALSE(sleeps.cancel());
    EXPECT_EQ(sleeps.result(), worker);
    EXPECT_EQ(pool.submit(own_pid).result(), worker);
}

TEST(process_stop_token, each_call_has_its_own) {
    const signpost here;
    const signpost other;
    process_pool_executor pool(2);
    auto first = pool.submit(sleep_until_asked, here.path());
    auto second = pool.submit(sleep_until_asked, other.path());
    here.next();
    const int worker = other.next();
    first.cancel();
    first.result();
    EXPECT_FALSE(second.done());
    auto next = pool.submit([](std::stop_token stop) { return stop.stop_requested(); });
    EXPECT_FALSE(next.result());
    second.cancel();
    EXPECT_EQ(second.result(), worker);
}

TEST(process_stop_token, calls_that_stand_behind_another_are_told_when_they_begin) {
    const signpost here;
    const signpost gate;
    process_pool_executor pool(1);
    for (int i = 0; i < 300; ++i)
        pool.submit(echo, i).result();  // calls count as short, and stand several with a worker
    auto front = pool.submit(pass, here.path(), gate.path());
    here.next();
    std::vector<future<bool>> behind;
    for (int i = 0; i < 40; ++i)
        behind.push_back(pool.submit([](std::stop_token stop) { return stop.stop_requested(); }));
    int cancelled = 0;
    for (std::size_t i = 0; i < behind.size(); i += 2) cancelled += behind[i].cancel() ? 1 : 0;
    signpost::write(gate.path(), 1);
    front.result();
    int told = 0;
    for (std::size_t i = 0; i < behind.size(); ++i) {
        if (behind[i].cancelled()) continue;
        EXPECT_EQ(behind[i].result(), i % 2 == 0);
        told += behind[i].result() ? 1 : 0;
    }
    EXPECT_EQ(cancelled + told, 20);
}

TEST(process_stop_token, goes_with_a_call_that_loses_its_worker) {
    const signpost here;
    const signpost gate;
    process_pool_executor pool(1);
    const auto die_or_see = [](std::stop_token stop, const std::string& path, const std::string& gate_path) {
        if (stop.stop_requested()) return 1;
        signpost::write(path, own_pid());
        signpost::read(gate_path);
        return 0;
    };
    auto front = pool.submit({.retries = 1}, pass, here.path(), gate.path());
    const int worker = here.next();
    auto call = pool.submit({.retries = 1}, die_or_see, here.path(), gate.path());
    ::kill(worker, SIGKILL);
    here.next();    // `front`, again
    call.cancel();  // waits; perhaps it is cancelled
    signpost::write(gate.path(), 1);
    front.result();
    if (call.cancelled()) return;
    EXPECT_EQ(call.result(), 1);
}

TEST(process_stop_token, a_call_that_was_asked_to_stop_is_not_made_again) {
    const signpost here;
    process_pool_executor pool(1);
    const auto give_up = [](std::stop_token stop, const std::string& path) {
        sleep_until_asked(stop, path);
        throw odd_item("stopped");
    };
    auto call = pool.submit({.retries = 5}, give_up, here.path());
    here.next();
    call.cancel();
    EXPECT_THROW(call.result(), odd_item);
}

TEST(process_stop_token, comes_with_measuring_too) {
    const signpost here;
    process_pool_executor pool(1);
    auto sleeps = pool.submit_measured({.name = "sleeps"}, sleep_until_asked, here.path());
    const int worker = here.next();
    sleeps.cancel();
    EXPECT_EQ(sleeps.result().value, worker);
}

TEST(process_submit_measured, a_result_comes_with_what_it_has_cost) {
    const auto work = [](const std::vector<char>& bytes, std::chrono::milliseconds busy) {
        const auto until = std::chrono::steady_clock::now() + busy;
        while (std::chrono::steady_clock::now() < until) {
        }
        return std::string(bytes.size() / 2, 'x');
    };
    process_pool_executor pool(1);
    const int worker = pool.submit(own_pid).result();
    const auto result = pool.submit_measured(work, std::vector<char>(1'000), 30ms).result();
    EXPECT_EQ(result.value, std::string(500, 'x'));
    EXPECT_EQ(result.statistics.worker, worker);
    EXPECT_GE(result.statistics.ran, 30ms);
    EXPECT_GT(result.statistics.cpu, 0ms);
    EXPECT_LT(result.statistics.cpu, 30s);
    EXPECT_GT(result.statistics.queued, 0ms);
    EXPECT_GT(result.statistics.peak_rss_bytes, 1U << 20U);
    EXPECT_GT(result.statistics.sent_bytes, 1'000U);
    EXPECT_LT(result.statistics.sent_bytes, 1'100U);
    EXPECT_GT(result.statistics.received_bytes, 500U);
    EXPECT_LT(result.statistics.received_bytes, 600U);
    const auto large = pool.submit_measured(work, std::vector<char>(1'000'000), 0ms).result();
    EXPECT_GT(large.statistics.sent_bytes, 1'000'000U);
    EXPECT_GT(large.statistics.received_bytes, 500'000U);
}

TEST(process_submit_measured, the_time_in_the_queue_counts) {
    const signpost here;
    const signpost gate;
    process_pool_executor pool(1);
    auto front = pool.submit(pass, here.path(), gate.path());
    here.next();
    const auto before = std::chrono::steady_clock::now();
    auto behind = pool.submit_measured({.name = "behind"}, tell, here.path(), 7);
    const auto submitted = std::chrono::steady_clock::now();
    while (std::chrono::steady_clock::now() - submitted < 5ms) {
    }
    signpost::write(gate.path(), 1);
    EXPECT_EQ(here.next(), 7);
    const auto statistics = behind.result().statistics;
    EXPECT_GE(statistics.queued, 5ms);
    EXPECT_LE(statistics.queued + statistics.ran, std::chrono::steady_clock::now() - before);
}

TEST(process_submit_measured, takes_captures_and_keeps_exceptions) {
    process_pool_executor pool(1);
    EXPECT_EQ(pool.submit_measured(capture([](int a, int b) { return a * b; }, 6), 7).result().value, 42);
    EXPECT_THROW(pool.submit_measured(refuse_odd, 3).result(), odd_item);
}

TEST(process_map, errors_in_a_chunk_keep_their_type_and_their_place) {
    process_pool_executor pool(2);
    std::vector<int> results;
    auto mapped = pool.map({.chunk_size = 4}, refuse_odd, std::views::iota(0, 8));
    for (auto at = mapped.begin(); at != mapped.end(); ++at) {
        try {
            results.push_back(*at);
        } catch (const odd_item& error) {
            results.push_back(-std::stoi(error.what()));
        }
    }
    EXPECT_THAT(results, ElementsAre(0, -1, 2, -3, 4, -5, 6, -7));
}

TEST(process_map, a_worker_that_dies_costs_the_items_of_its_chunk) {
    process_pool_executor pool(1);
    std::vector<int> results;
    auto mapped = pool.map({.chunk_size = 3}, die_at, std::views::iota(0, 9), std::vector<int>(9, 4));
    for (auto at = mapped.begin(); at != mapped.end(); ++at) {
        try {
            results.push_back(*at);
        } catch (const worker_died& death) {
            EXPECT_EQ(death.exit_code(), 7);
            results.push_back(-1);
        }
    }
    EXPECT_THAT(results, ElementsAre(0, 1, 2, -1, -1, -1, 6, 7, 8));
}

TEST(process_map, takes_captures_lambdas_and_strings) {
    process_pool_executor pool(2);
    std::vector<std::string> results;
    const std::vector<std::string> words{"a", "b", "c"};
    for (auto& each :
         pool.map({.chunk_size = 2},
                  capture([](const std::string&head, const std::string&word) { return head + word; }, std::string("<")),
                  words))
        results.push_back(each);
    for (auto& each : pool.map(
             {.chunk_size = 2}, [](std::string word) { return word + ">"; }, words))
        results.push_back(each);
    EXPECT_THAT(results, ElementsAre("<a", "<b", "<c", "a>", "b>", "c>"));
}

}  // namespace
}  // namespace tercet::multiprocessing
