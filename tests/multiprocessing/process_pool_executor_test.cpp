#include <tercet/futures/as_completed.hpp>
#include <tercet/futures/wait.hpp>
#include <tercet/multiprocessing.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <future>
#include <iostream>
#include <map>
#include <numeric>
#include <set>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "process_probe.hpp"

namespace tercet::multiprocessing {
namespace {

using namespace std::chrono_literals;

static_assert(executor<process_pool_executor>);

struct order {
    std::string customer;
    std::map<std::string, double> prices;
    friend bool operator==(const order&, const order&) = default;
};

struct scale {
    std::string unit;
    double factor;
    std::string operator()(double x) const { return std::to_string(x * factor) + unit; }
};

class unencodable_now {
public:
    template <class Archive>
    void serialize(Archive&) {
        if constexpr (Archive::is_saving) throw std::invalid_argument("not today");
    }
};

class rejected : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};
class unregistered : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};
const bool is_registered = register_exception<rejected>();

int square(int x) { return x * x; }
order discount(order placed, double percent) {
    for (auto& [name, price] : placed.prices) price *= 1 - percent / 100;
    return placed;
}
const std::string& same(const std::string& text) { return text; }
int fail_for_odd(int x) {
    if (x % 2) throw std::out_of_range("odd " + std::to_string(x));
    return x;
}
pid_t pid_of_worker() { return ::getpid(); }
/// Says where it is and stays there.
void stay(const std::string& signpost_path) {
    signpost::write(signpost_path, ::getpid());
    for (;;) ::pause();
}

TEST(process_pool_executor, runs_functions_lambdas_and_functors) {
    process_pool_executor pool(2);
    EXPECT_EQ(pool.submit(square, 7).result(), 49);
    EXPECT_EQ(pool.submit(&square, 8).result(), 64);
    EXPECT_EQ(pool.submit([](int a, int b) { return a + b; }, 1, 2).result(), 3);
    EXPECT_EQ(pool.submit([](auto a) { return a + a; }, std::string("ab")).result(), "abab");
    EXPECT_EQ(pool.submit(scale{"m", 2}, 1.5).result(), "3.000000m");
    EXPECT_EQ(pool.submit(&::getppid).result(), only_child());
    pool.submit([] {}).result();
}

TEST(process_pool_executor, runs_in_another_process) {
    process_pool_executor pool(1);
    const auto pid = pool.submit(pid_of_worker).result();
    EXPECT_NE(pid, ::getpid());
    EXPECT_THAT(pool.worker_pids(), testing::ElementsAre(pid));
}

TEST(process_pool_executor, sends_aggregates_and_containers) {
    process_pool_executor pool(1);
    EXPECT_EQ(pool.submit(discount, order{"Ada", {{"tea", 10}, {"cup", 4}}}, 50.0).result(),
              (order{"Ada", {{"tea", 5}, {"cup", 2}}}));
    EXPECT_EQ(*pool.submit([](std::unique_ptr<int> p) { return p; }, std::make_unique<int>(3)).result(), 3);
}

TEST(process_pool_executor, a_literal_arrives_as_a_string_and_a_reference_as_a_value) {
    process_pool_executor pool(1);
    EXPECT_EQ(pool.submit(same, "text").result(), "text");
    EXPECT_EQ(pool.submit([](const std::string& a) { return a.size(); }, "four").result(), 4U);
    const char unterminated[4] = {'f', 'o', 'u', 'r'};
    EXPECT_EQ(pool.submit(same, unterminated).result(), "four");
}

TEST(process_pool_executor, capture_sends_values_with_the_function) {
    process_pool_executor pool(2);
    const std::vector<int> offsets{10, 20};
    const auto shifted = capture([](const std::vector<int>& by, int x) { return x + by[1]; }, offsets);
    EXPECT_EQ(pool.submit(shifted, 1).result(), 21);
    EXPECT_EQ(pool.submit(capture(square, 5)).result(), 25);
    std::vector<int> results;
    for (const int each : pool.map(shifted, std::vector{1, 2, 3})) results.push_back(each);
    EXPECT_THAT(results, testing::ElementsAre(21, 22, 23));
}

TEST(process_pool_executor, map_keeps_the_order_of_the_input) {
    process_pool_executor pool(3);
    std::vector<int> input(2'000);
    std::iota(input.begin(), input.end(), 0);
    int expected = 0;
    for (const int each : pool.map(square, input)) {
        ASSERT_EQ(each, expected * expected);
        ++expected;
    }
    EXPECT_EQ(expected, 2'000);
}

TEST(process_pool_executor, map_throws_at_the_place_of_the_error) {
    process_pool_executor pool(2);
    auto results = pool.map(fail_for_odd, std::vector{0, 2, 3, 4});
    auto each = results.begin();
    EXPECT_EQ(*each, 0);
    EXPECT_EQ(*++each, 2);
    EXPECT_THROW(*++each, std::out_of_range);
}

TEST(process_pool_executor, many_tasks_give_each_their_own_result) {
    process_pool_executor pool(4);
    std::vector<future<int>> squares;
    for (int i = 0; i < 5'000; ++i) squares.push_back(pool.submit(square, i));
    for (int i = 0; i < 5'000; ++i) ASSERT_EQ(squares[static_cast<std::size_t>(i)].result(), i * i);
    EXPECT_LE(pool.worker_pids().size(), 4U);
}

TEST(process_pool_executor, submits_from_many_threads) {
    process_pool_executor pool({.max_workers = 2, .queue_size = 4});
    std::vector<std::jthread> threads;
    std::atomic<int> sum = 0;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&] {
            for (int i = 0; i < 200; ++i) sum += pool.submit(square, 1).result();
        });
    threads.clear();
    EXPECT_EQ(sum, 800);
}

TEST(process_pool_executor, one_worker_serves_tasks_that_come_one_by_one) {
    process_pool_executor pool(8);
    std::set<pid_t> pids;
    for (int i = 0; i < 50; ++i) pids.insert(pool.submit(pid_of_worker).result());
    EXPECT_EQ(pids.size(), 1U);
}

TEST(process_pool_executor, never_more_workers_than_allowed) {
    signpost post;
    process_pool_executor pool(3);
    std::vector<future<void>> stuck;
    for (int i = 0; i < 45; ++i) stuck.push_back(pool.submit(stay, post.path()));
    std::set<pid_t> pids{post.next(), post.next(), post.next()};
    EXPECT_EQ(pids.size(), 3U);
    EXPECT_EQ(pool.worker_pids().size(), 3U);
    pool.shutdown({.wait = false, .cancel_futures = true});
    for (const pid_t pid : pids) ::kill(pid, SIGKILL);
    pool.shutdown();
    for (auto& each : stuck) each.state().mark_read();
}

TEST(process_pool_executor, exceptions_keep_their_type_and_text) {
    process_pool_executor pool(1);
    try {
        pool.submit(fail_for_odd, 7).result();
        FAIL();
    } catch (const std::out_of_range& e) {
        EXPECT_STREQ(e.what(), "odd 7");
    }
    auto missing = pool.submit([] { throw std::system_error(ENOENT, std::system_category(), "open /x"); });
    try {
        missing.result();
        FAIL();
    } catch (const std::system_error& e) {
        EXPECT_EQ(e.code(), std::errc::no_such_file_or_directory);
        EXPECT_STREQ(e.what(), "open /x: No such file or directory");
    }
    auto late = pool.submit([] { throw timeout_error("late"); });
    EXPECT_THROW(late.result(), timeout_error);
}

TEST(process_pool_executor, exceptions_of_the_user_come_back_registered_or_as_remote_error) {
    process_pool_executor pool(1);
    auto known = pool.submit([] { throw rejected("no"); });
    EXPECT_THROW(known.result(), rejected);
    auto unknown = pool.submit([] { throw unregistered("why"); });
    try {
        unknown.result();
        FAIL();
    } catch (const remote_error& e) {
        EXPECT_STREQ(e.what(), "why");
        EXPECT_THAT(e.type_name(), testing::HasSubstr("unregistered"));
    }
    auto number = pool.submit([] { throw 42; });
    EXPECT_THROW(number.result(), remote_error);
}

TEST(process_pool_executor, what_cannot_be_encoded_fails_its_own_task_only) {
    process_pool_executor pool(1);
    auto argument = pool.submit([](const unencodable_now&) {}, unencodable_now());
    EXPECT_THROW(argument.result(), std::invalid_argument);
    auto result = pool.submit([] { return unencodable_now(); });
    EXPECT_THROW(result.result(), std::invalid_argument);
    EXPECT_EQ(pool.submit(square, 3).result(), 9);
}

TEST(process_pool_executor, large_arguments_and_results_pass) {
    process_pool_executor pool(2);
    std::vector<double> numbers(std::size_t{8} << 20U, 1.0);
    numbers.back() = 5;
    auto back = pool.submit(
        [](std::vector<double> v) {
            v.front() = 7;
            return v;
        },
        numbers);
    auto other = pool.submit(square, 2);
    EXPECT_EQ(other.result(), 4);
    const auto result = std::move(back).result();
    EXPECT_EQ(result.size(), numbers.size());
    EXPECT_EQ(result.front(), 7);
    EXPECT_EQ(result.back(), 5);
}

TEST(process_pool_executor, messages_over_the_limit_fail_their_own_task_only) {
    process_pool_executor pool({.max_workers = 1, .max_message_bytes = 1'000});
    auto result = pool.submit([] { return std::string(2'000, 'x'); });
    EXPECT_THROW(result.result(), std::length_error);
    auto argument = pool.submit([](const std::string& s) { return s.size(); }, std::string(2'000, 'x'));
    EXPECT_THROW(argument.result(), std::length_error);
    auto text = pool.submit([] { throw std::runtime_error(std::string(2'000, 'x')); });
    try {
        text.result();
        FAIL();
    } catch (const remote_error& e) {
        EXPECT_STREQ(e.what(), "process_pool_executor: the call threw an exception larger than max_message_bytes");
    }
    EXPECT_EQ(pool.submit(square, 3).result(), 9);
}

TEST(process_pool_executor, refuses_work_after_shutdown_and_finishes_what_it_has) {
    process_pool_executor pool(2);
    std::vector<future<int>> squares;
    for (int i = 0; i < 100; ++i) squares.push_back(pool.submit(square, i));
    pool.shutdown({.wait = false});
    EXPECT_THROW(static_cast<void>(pool.submit(square, 1)), executor_shutdown);
    pool.shutdown();
    pool.shutdown();
    for (auto& each : squares) EXPECT_TRUE(each.done());
    EXPECT_EQ(squares[99].result(), 99 * 99);
    EXPECT_THROW(static_cast<void>(pool.submit(square, 1)), executor_shutdown);
}

TEST(process_pool_executor, shutdown_names_the_workers_that_are_still_there_when_its_time_is_over) {
    signpost post;
    process_pool_executor pool(1);
    auto stuck = pool.submit(stay, post.path());
    const pid_t worker = post.next();
    try {
        pool.shutdown({.timeout = std::chrono::milliseconds(1)});
        ADD_FAILURE() << "the worker has left";
    } catch (const timeout_error& error) {
        EXPECT_THAT(error.what(), testing::HasSubstr(std::to_string(worker)));
    }
    ::kill(worker, SIGKILL);
    pool.shutdown();
    EXPECT_THROW(stuck.result(), worker_died);
}

TEST(process_pool_executor, shutdown_before_the_first_task_is_fine) {
    process_pool_executor pool(2);
    pool.shutdown();
    EXPECT_THROW(static_cast<void>(pool.submit(square, 1)), executor_shutdown);
}

TEST(process_pool_executor, cancel_futures_cancels_what_has_not_started) {
    signpost post;
    process_pool_executor pool(1);
    auto running = pool.submit(stay, post.path());
    const pid_t pid = post.next();
    auto queued = pool.submit(square, 1);
    auto cancelled = pool.submit(square, 2);
    EXPECT_TRUE(running.running());
    EXPECT_FALSE(running.cancel());
    EXPECT_TRUE(cancelled.cancel());
    pool.shutdown({.wait = false, .cancel_futures = true});
    EXPECT_TRUE(queued.cancelled());
    ::kill(pid, SIGKILL);
    EXPECT_THROW(running.result(), worker_died);
}

TEST(process_pool_executor, a_full_queue_fails_if_asked_to) {
    signpost post;
    process_pool_executor pool({.max_workers = 1, .queue_size = 1, .when_full = when_full::fail});
    auto running = pool.submit(stay, post.path());
    const pid_t pid = post.next();
    auto queued = pool.submit(square, 2);
    EXPECT_THROW(static_cast<void>(pool.submit(square, 3)), queue_full);
    ::kill(pid, SIGKILL);
    EXPECT_EQ(queued.result(), 4);
    EXPECT_THROW(running.result(), worker_died);
}

TEST(process_pool_executor, a_queue_full_of_calls_or_of_bytes_blocks) {
    for (const process_pool_options& full_with_one :
         {process_pool_options{.max_workers = 1, .queue_size = 1}, {.max_workers = 1, .queue_bytes = 1}}) {
        signpost post;
        signpost gate;
        process_pool_executor pool(full_with_one);
        auto running = pool.submit(
            [](const std::string& here, const std::string& go_on) {
                signpost::write(here, 0);
                signpost::read(go_on);
            },
            post.path(), gate.path());
        post.next();
        auto queued = pool.submit(square, 2);
        auto blocked = std::async(std::launch::async, [&] { return pool.submit(square, 3); });
        EXPECT_EQ(blocked.wait_for(100ms), std::future_status::timeout);
        signpost::write(gate.path(), 0);
        EXPECT_EQ(blocked.get().result(), 9);
        EXPECT_EQ(queued.result(), 4);
    }
}

TEST(process_pool_executor, the_initializer_runs_first_in_each_worker) {
    static int greeting = 0;
    process_pool_executor pool({.max_workers = 2, .initializer = {[](int value) { greeting = value; }, 42}});
    for (int i = 0; i < 10; ++i) EXPECT_EQ(pool.submit([] { return greeting; }).result(), 42);
    EXPECT_EQ(greeting, 0);
}

TEST(process_pool_executor, callbacks_may_submit_also_after_a_crash) {
    process_pool_executor pool({.max_workers = 1, .queue_size = 1});
    std::promise<int> answer;
    auto crash = pool.submit([] { ::_exit(3); });
    crash.add_done_callback([&] {
        auto more = std::make_shared<future<int>>(pool.submit(square, 6));
        more->add_done_callback([more, &answer] { answer.set_value(more->result()); });
    });
    EXPECT_EQ(answer.get_future().get(), 36);
    EXPECT_THROW(crash.result(), worker_died);
}

TEST(process_pool_executor, may_be_destroyed_in_a_callback_of_its_own) {
    auto pool = std::make_unique<process_pool_executor>(1);
    std::promise<void> gone;
    auto work = pool->submit(square, 2);
    work.add_done_callback([&] {
        EXPECT_THROW(pool->shutdown(), invalid_state_error);
        pool.reset();
        gone.set_value();
    });
    gone.get_future().get();
    EXPECT_EQ(work.result(), 4);
}

TEST(process_pool_executor, its_futures_mix_with_others) {
    process_pool_executor pool(2);
    std::vector<future<int>> squares;
    for (int i = 0; i < 5; ++i) squares.push_back(pool.submit(square, i));
    int sum = 0;
    for (auto& each : as_completed(squares, 30s)) sum += each.result();
    EXPECT_EQ(sum, 30);
}

TEST(process_pool_executor, a_worker_has_few_descriptors_and_no_input) {
    process_pool_executor pool(2);
    pool.submit(square, 1).result();
    const auto names = pool.submit([] {
                               std::vector<std::string> links;
                               for (const auto& each : std::filesystem::directory_iterator("/proc/self/fd")) {
                                   std::error_code ignored;
                                   links.push_back(std::filesystem::read_symlink(each.path(), ignored).string());
                               }
                               return links;
                           })
                           .result();
    // Standard streams, the socket, three eventfds, the pidfd of the parent, the directory that is being read.
    EXPECT_LE(names.size(), 9U) << testing::PrintToString(names);
    EXPECT_EQ(pool.submit([] { return std::cin.get() == std::istream::traits_type::eof(); }).result(), true);
}

TEST(process_pool_executor, workers_ignore_interrupts_and_have_clean_signals) {
    ::signal(SIGUSR1, SIG_IGN);
    sigset_t blocked;
    ::sigemptyset(&blocked);
    ::sigaddset(&blocked, SIGUSR2);
    ::pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
    terminate_all();
    {
        process_pool_executor pool(1);
        EXPECT_TRUE(pool.submit([] {
                            sigset_t mask;
                            ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
                            struct sigaction usr1 {};
                            struct sigaction interrupt {};
                            ::sigaction(SIGUSR1, nullptr, &usr1);
                            ::sigaction(SIGINT, nullptr, &interrupt);
                            return ::sigisemptyset(&mask) == 1 && usr1.sa_handler == SIG_DFL &&
                                   interrupt.sa_handler == SIG_IGN;
                        })
                        .result());
    }
    ::pthread_sigmask(SIG_UNBLOCK, &blocked, nullptr);
    ::signal(SIGUSR1, SIG_DFL);
}

TEST(process_pool_executor, resource_usage_counts_what_workers_used) {
    process_pool_executor pool(2);
    std::vector<future<double>> burns;
    for (int i = 0; i < 2; ++i)
        burns.push_back(pool.submit([] {
            timespec used{};
            do {
                ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
            } while (used.tv_nsec < 50'000'000 && used.tv_sec == 0);
            return static_cast<double>(used.tv_nsec) * 1e-9 + static_cast<double>(used.tv_sec);
        }));
    double burnt = 0;
    for (auto& each : burns) burnt = std::max(burnt, each.result());
    pool.shutdown();
    const auto used = pool.resource_usage();
    EXPECT_GE(used.cpu_seconds, burnt * 0.9);
    EXPECT_LT(used.cpu_seconds, 30);
    EXPECT_GT(used.peak_rss_bytes, 1U << 20U);
}

TEST(process_pool_executor, options_that_cannot_work_are_refused) {
    EXPECT_THROW(process_pool_executor({.queue_size = 0}), std::invalid_argument);
    EXPECT_THROW(process_pool_executor({.max_message_bytes = 0}), std::invalid_argument);
    EXPECT_THROW(process_pool_executor({.start_timeout = 0ms}), std::invalid_argument);
    EXPECT_GE(process_pool_executor().max_workers(), 1U);
}

TEST(process_pool_executor, a_start_timeout_may_be_as_long_as_it_can_be) {
    process_pool_executor pool({.max_workers = 1, .start_timeout = std::chrono::milliseconds::max()});
    EXPECT_EQ(pool.submit(square, 3).result(), 9);
}

TEST(process_pool_executor, leaves_no_descriptor_and_no_zombie) {
    {
        process_pool_executor first(1);
        first.submit(square, 1).result();
    }
    const pid_t server = only_child();
    const std::size_t before = open_fds();
    const std::size_t before_in_server = open_fds(server);
    for (int round = 0; round < 10; ++round) {
        process_pool_executor pool(3);
        std::vector<future<int>> results;
        for (int i = 0; i < 30; ++i) results.push_back(pool.submit(square, i));
        auto crash = pool.submit([] { ::_exit(1); });
        EXPECT_THROW(crash.result(), worker_died);
        for (auto& each : results) each.wait();
    }
    EXPECT_EQ(open_fds(), before);
    EXPECT_EQ(only_child(), server);
    const auto deadline = std::chrono::steady_clock::now() + 5s;  // it closes the last pool's socket in its own time
    while (open_fds(server) > before_in_server && std::chrono::steady_clock::now() < deadline)
        std::this_thread::yield();
    EXPECT_LE(open_fds(server), before_in_server);
    EXPECT_FALSE(has_zombie());
}

}  // namespace
}  // namespace tercet::multiprocessing
