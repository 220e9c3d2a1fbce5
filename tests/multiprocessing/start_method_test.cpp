#include <tercet/multiprocessing.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <ranges>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "process_probe.hpp"
#include "start_method_case.hpp"

namespace tercet::multiprocessing {
namespace {

using namespace std::chrono_literals;

INSTANTIATE_TEST_SUITE_P(pools, start_methods, testing::ValuesIn(get_all_start_methods()), name_of_start_method);

int square(int x) { return x * x; }
void stay(const std::string& signpost_path) {
    signpost::write(signpost_path, ::getpid());
    for (;;) ::pause();
}
using dictionary = std::map<std::string, std::vector<int>>;
dictionary doubled(dictionary words) {
    for (auto& [word, places] : words) places.insert(places.end(), places.begin(), places.end());
    return words;
}

int setting = 1;
const pid_t static_objects_are_of = ::getpid();

/// The fork server of this process, if one runs; 0.
pid_t server() {
    const pid_t child = only_child();
    std::string name;
    std::getline(std::ifstream("/proc/" + std::to_string(child) + "/comm"), name);
    return name == "tercet-server" ? child : 0;
}

TEST_P(start_methods, functions_arguments_results_and_errors_pass) {
    process_pool_executor pool({.max_workers = 2, .start_method = GetParam()});
    EXPECT_EQ(pool.submit(square, 7).result(), 49);
    EXPECT_EQ(pool.submit([](auto a) { return a + a; }, std::string("ab")).result(), "abab");
    EXPECT_EQ(pool.submit(capture([](int by, int x) { return x + by; }, 10), 1).result(), 11);
    EXPECT_EQ(pool.submit(doubled, dictionary{{"a", {1, 2}}}).result(), (dictionary{{"a", {1, 2, 1, 2}}}));
    EXPECT_EQ(pool.submit([](std::vector<double> v) { return v; }, std::vector<double>(1U << 20U, 2.5)).result().back(),
              2.5);
    auto wrong = pool.submit([] { throw std::out_of_range("page 7"); });
    EXPECT_THROW(wrong.result(), std::out_of_range);
    int expected = 0;
    for (const int each : pool.map(square, std::views::iota(0, 500))) {
        EXPECT_EQ(each, expected * expected);
        ++expected;
    }
}

TEST_P(start_methods, only_fork_has_the_memory_of_the_program_as_it_stands) {
    setting = 2;
    process_pool_executor pool({.max_workers = 1, .start_method = GetParam()});
    EXPECT_EQ(pool.submit([] { return setting; }).result(), is_fork() ? 2 : 1);
    setting = 3;
    EXPECT_EQ(pool.submit([] { return setting; }).result(), is_fork() ? 2 : 1);
    setting = 1;
}

TEST_P(start_methods, static_objects_are_the_workers_own_the_servers_or_the_programs) {
    process_pool_executor pool({.max_workers = 1, .start_method = GetParam()});
    const auto [statics, worker, parent, is_worker] =
        pool.submit([] { return std::tuple(static_objects_are_of, ::getpid(), ::getppid(), in_worker()); }).result();
    EXPECT_NE(worker, ::getpid());
    EXPECT_TRUE(is_worker);
    EXPECT_EQ(parent, is_fork() ? ::getpid() : server());
    switch (GetParam()) {
        case start_method::forkserver:
            EXPECT_EQ(statics, server());
            break;
        case start_method::spawn:
            EXPECT_EQ(statics, worker);
            break;
        case start_method::fork:
            EXPECT_EQ(statics, ::getpid());
            break;
    }
}

TEST_P(start_methods, a_worker_has_no_input_clean_signals_and_few_descriptors) {
    ::signal(SIGUSR1, [](int) {});
    sigset_t blocked;
    ::sigemptyset(&blocked);
    ::sigaddset(&blocked, SIGUSR2);
    ::pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
    terminate_all();
    const std::size_t own = open_fds();
    {
        process_pool_executor pool({.max_workers = 1, .start_method = GetParam()});
        EXPECT_TRUE(pool.submit([] {
                            sigset_t mask;
                            ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
                            struct sigaction user {};
                            struct sigaction interrupt {};
                            ::sigaction(SIGUSR1, nullptr, &user);
                            ::sigaction(SIGINT, nullptr, &interrupt);
                            return ::sigisemptyset(&mask) == 1 && user.sa_handler == SIG_DFL &&
                                   interrupt.sa_handler == SIG_IGN;
                        })
                        .result());
        EXPECT_TRUE(pool.submit([] { return std::cin.get() == std::istream::traits_type::eof(); }).result());
        // Standard streams, the socket, three eventfds, the pidfd of the parent, the directory that is being read. A
        // copy of the program has what that had, too: with the pool's wake-ups, its lines to the worker and to the
        // thread that forks, both ends of those that were on their way.
        EXPECT_LE(pool.submit([] { return open_fds(); }).result(), is_fork() ? own + 20 : 9U);
    }
    ::pthread_sigmask(SIG_UNBLOCK, &blocked, nullptr);
    ::signal(SIGUSR1, SIG_DFL);
}

TEST_P(start_methods, a_killed_worker_costs_one_task_and_is_replaced) {
    signpost post;
    process_pool_executor pool({.max_workers = 2, .start_method = GetParam()});
    for (int round = 0; round < 5; ++round) {
        auto doomed = pool.submit(stay, post.path());
        const pid_t pid = post.next();
        std::vector<future<int>> others;
        for (int i = 0; i < 50; ++i) others.push_back(pool.submit(square, i));
        ::kill(pid, SIGKILL);
        try {
            doomed.result();
            ADD_FAILURE() << "it was killed";
        } catch (const worker_died& death) {
            EXPECT_EQ(death.pid(), pid);
            EXPECT_EQ(death.signal(), SIGKILL);
        }
        for (int i = 0; i < 50; ++i) EXPECT_EQ(others[static_cast<std::size_t>(i)].result(), i * i);
    }
    auto left = pool.submit([] { ::_exit(99); });
    try {
        left.result();
        ADD_FAILURE() << "it has ended";
    } catch (const worker_died& death) {
        EXPECT_EQ(death.exit_code(), 99);
        EXPECT_EQ(death.signal(), 0);
    }
}

TEST_P(start_methods, a_crash_is_told_of) {
    if (is_under_address_sanitizer || is_under_thread_sanitizer) GTEST_SKIP() << "the sanitizer handles it itself";
    process_pool_executor pool({.max_workers = 1, .start_method = GetParam()});
    auto crash = pool.submit([] {
        volatile int* volatile nowhere = nullptr;
        *nowhere = 1;
    });
    try {
        crash.result();
        ADD_FAILURE() << "it has crashed";
    } catch (const worker_died& death) {
        EXPECT_EQ(death.signal(), SIGSEGV);
        ASSERT_NE(death.crash(), nullptr);
        EXPECT_FALSE(death.crash()->frames.empty());
        EXPECT_THAT(death.what(), testing::HasSubstr("is not mapped"));
    }
    // A copy of a worker that crashes says nothing about the worker.
    auto killed = pool.submit([] {
        const pid_t copy = ::fork();
        if (copy == 0) {
            volatile int* volatile nowhere = nullptr;
            *nowhere = 1;
        }
        int status = 0;
        ::waitpid(copy, &status, 0);
        ::kill(::getpid(), WIFSIGNALED(status) ? SIGKILL : SIGTERM);
    });
    try {
        killed.result();
        ADD_FAILURE() << "it was killed";
    } catch (const worker_died& death) {
        EXPECT_EQ(death.signal(), SIGKILL);
        EXPECT_EQ(death.crash(), nullptr);
    }
}

TEST_P(start_methods, a_task_that_takes_longer_than_it_may_is_killed) {
    process_pool_executor pool({.max_workers = 1, .start_method = GetParam()});
    const pid_t pid = pool.submit([] { return ::getpid(); }).result();
    const process_watch worker(pid);
    auto late = pool.submit({.timeout = 20ms}, [] {
        for (;;) ::pause();
    });
    EXPECT_THROW(late.result(), timeout_error);
    EXPECT_TRUE(worker.ends_within(5'000));
    EXPECT_EQ(pool.submit(square, 3).result(), 9);
}

TEST_P(start_methods, a_worker_that_cannot_start_breaks_the_pool_with_the_reason) {
    const auto reason_with = [](worker_initializer initializer, std::chrono::milliseconds limit = 30s) {
        process_pool_executor pool({.max_workers = 2,
                                    .initializer = std::move(initializer),
                                    .start_timeout = limit,
                                    .start_method = GetParam()});
        auto work = pool.submit(square, 1);
        try {
            work.result();
        } catch (const broken_process_pool& error) {
            return std::string(error.what());
        }
        return std::string("no error");
    };
    EXPECT_THAT(reason_with([] { ::_exit(77); }), testing::HasSubstr("exit code 77"));
    EXPECT_THAT(reason_with([] { throw std::runtime_error("no licence"); }), testing::HasSubstr("no licence"));
    EXPECT_THAT(reason_with(
                    [] {
                        for (;;) ::pause();
                    },
                    100ms),
                testing::HasSubstr("not ready within 100 ms"));
}

TEST_P(start_methods, terminate_all_ends_everything_at_once) {
    signpost post;
    process_pool_executor pool({.max_workers = 2, .start_method = GetParam()});
    auto first = pool.submit(stay, post.path());
    auto second = pool.submit(stay, post.path());
    const process_watch workers[] = {process_watch(post.next()), process_watch(post.next())};
    auto queued = pool.submit(square, 1);
    terminate_all();
    EXPECT_FALSE(has_zombie());
    EXPECT_EQ(only_child(), 0);
    for (const auto& each : workers) EXPECT_TRUE(each.ends_within(0));
    EXPECT_THROW(first.result(), worker_died);
    EXPECT_THROW(second.result(), worker_died);
    EXPECT_THROW(queued.result(), broken_process_pool);
    process_pool_executor other({.max_workers = 1, .start_method = GetParam()});
    EXPECT_EQ(other.submit(square, 2).result(), 4);
}

TEST_P(start_methods, pools_leave_no_descriptor_and_no_zombie) {
    {
        process_pool_executor first({.max_workers = 1, .start_method = GetParam()});
        first.submit(square, 1).result();
    }
    const std::size_t before = open_fds();
    for (int round = 0; round < 5; ++round) {
        process_pool_executor pool({.max_workers = 3, .start_method = GetParam()});
        std::vector<future<int>> results;
        for (int i = 0; i < 30; ++i) results.push_back(pool.submit(square, i));
        auto crash = pool.submit([] { ::_exit(1); });
        EXPECT_THROW(crash.result(), worker_died);
        for (auto& each : results) each.wait();
    }
    const auto deadline = std::chrono::steady_clock::now() + 5s;  // the last line is let go in its own time
    while (open_fds() > before && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    EXPECT_LE(open_fds(), before);
    EXPECT_FALSE(has_zombie());
    EXPECT_EQ(only_child(), server());
}

TEST_P(start_methods, the_users_own_children_are_left_alone) {
    process_pool_executor pool({.max_workers = 1, .start_method = GetParam()});
    pool.submit(square, 1).result();
    const pid_t child = ::fork();
    if (child == 0) ::_exit(5);
    auto crash = pool.submit([] { ::_exit(1); });
    EXPECT_THROW(crash.result(), worker_died);
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(WEXITSTATUS(status), 5);
    EXPECT_EQ(pool.submit(square, 3).result(), 9);
}

TEST_P(start_methods, a_pool_lives_longer_than_the_thread_that_has_made_it) {
    std::unique_ptr<process_pool_executor> pool;
    pid_t pid = 0;
    std::thread([&] {
        pool =
            std::make_unique<process_pool_executor>(process_pool_options{.max_workers = 1, .start_method = GetParam()});
        pid = pool->submit([] { return ::getpid(); }).result();
    }).join();
    EXPECT_EQ(pool->submit([] { return ::getpid(); }).result(), pid);
}

TEST_P(start_methods, resource_usage_counts_what_workers_used) {
    process_pool_executor pool({.max_workers = 1, .start_method = GetParam()});
    pool.submit([] {
            timespec used{};
            do {
                ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
            } while (used.tv_nsec < 50'000'000 && used.tv_sec == 0);
        })
        .result();
    pool.shutdown();
    EXPECT_GE(pool.resource_usage().cpu_seconds, 0.045);
    EXPECT_GT(pool.resource_usage().peak_rss_bytes, 1U << 20U);
}

TEST_P(start_methods, workers_begin_with_the_default_that_the_program_has_set) {
    terminate_all();
    process_pool_executor before({.max_workers = 1, .start_method = GetParam()});
    EXPECT_EQ(before.submit(&get_start_method).result(), get_start_method());
    set_start_method(start_method::spawn, {.force = true});
    process_pool_executor pool({.max_workers = 1, .start_method = GetParam()});
    EXPECT_EQ(pool.submit(&get_start_method).result(), start_method::spawn);
    set_start_method(start_method::forkserver, {.force = true});
}

TEST_P(start_methods, many_workers_start_and_end_while_the_program_allocates) {
    std::jthread busy([](const std::stop_token& stop) {
        while (!stop.stop_requested()) std::vector<std::string>(100, std::string(100, 'x')).clear();
    });
    for (int round = 0; round < 10; ++round) {
        process_pool_executor pool({.max_workers = 4, .start_method = GetParam()});
        std::vector<future<int>> results;
        for (int i = 0; i < 20; ++i) results.push_back(pool.submit(square, i));
        for (int i = 0; i < 20; ++i) EXPECT_EQ(results[static_cast<std::size_t>(i)].result(20s), i * i);
    }
}

TEST(start_method, a_status_that_the_programs_wait_for_all_children_has_taken_is_said_to_be_lost) {
    if (is_under_thread_sanitizer) GTEST_SKIP() << "it knows no threads in a copy of a process that had several";
    terminate_all();
    signpost post;
    process_pool_executor pool({.max_workers = 1, .start_method = start_method::fork});
    std::signal(SIGCHLD, SIG_IGN);  // the kernel reaps children at once
    auto doomed = pool.submit(stay, post.path());
    ::kill(post.next(), SIGKILL);
    try {
        doomed.result();
        ADD_FAILURE() << "it was killed";
    } catch (const worker_died& death) {
        EXPECT_EQ(death.exit_code(), -1);
        EXPECT_THAT(death.what(), testing::HasSubstr("its exit status is not known"));
    }
    EXPECT_EQ(pool.submit(square, 3).result(), 9);
    pool.shutdown();
    std::signal(SIGCHLD, SIG_DFL);
}

TEST(start_method, the_default_is_set_once_unless_forced) {
    EXPECT_EQ(get_all_start_methods().front(), start_method::forkserver);
    set_start_method(start_method::spawn, {.force = true});
    EXPECT_EQ(get_start_method(), start_method::spawn);
    try {
        set_start_method(start_method::forkserver);
        ADD_FAILURE() << "it was set before";
    } catch (const invalid_state_error& error) {
        EXPECT_STREQ(error.what(),
                     "set_start_method(forkserver): it was set to spawn before; {.force = true} sets it again");
    }
    {
        process_pool_executor pool(1);
        const auto [statics, worker] =
            pool.submit([] { return std::pair(static_objects_are_of, ::getpid()); }).result();
        EXPECT_EQ(statics, worker);
    }
    set_start_method(start_method::forkserver, {.force = true});
    EXPECT_EQ(get_start_method(), start_method::forkserver);
}

TEST(start_method, a_context_has_its_own) {
    for (const auto each : get_all_start_methods()) {
        EXPECT_EQ(get_context(each).get_start_method(), each);
        EXPECT_EQ(get_context(to_string(each)).get_start_method(), each);
    }
    EXPECT_EQ(get_context().get_start_method(), get_start_method());
    EXPECT_THROW(get_context("thread"), std::invalid_argument);
    const auto fresh = get_context("spawn");
    auto pool = fresh.process_pool_executor({.max_workers = 1});
    const auto [statics, worker] = pool.submit([] { return std::pair(static_objects_are_of, ::getpid()); }).result();
    EXPECT_EQ(statics, worker);
    auto simple = fresh.pool({.max_workers = 1});
    EXPECT_EQ(simple.apply([] { return static_objects_are_of == ::getpid(); }), true);
    auto child = fresh.process([](pid_t parent) { ::_exit(static_objects_are_of == parent ? 1 : 0); }, ::getpid());
    child.start();
    child.join();
    EXPECT_EQ(child.exitcode(), 0);
    auto named = fresh.process({.name = "reader"}, [] {});
    EXPECT_EQ(named.name(), "reader");
}

}  // namespace
}  // namespace tercet::multiprocessing
