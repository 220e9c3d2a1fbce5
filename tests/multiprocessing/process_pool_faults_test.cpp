#include <tercet/multiprocessing.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <future>
#include <limits>
#include <random>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "process_probe.hpp"

namespace tercet::multiprocessing {
namespace {

using namespace std::chrono_literals;

int square(int x) { return x * x; }
void stay(const std::string& signpost_path) {
    signpost::write(signpost_path, ::getpid());
    for (;;) ::pause();
}

void wait_at(const std::string& gate_path) { signpost::read(gate_path); }
void enter_or_die(const std::string& gate_path) {
    if (signpost::read(gate_path) != 0) ::_exit(1);
}

template <class T>
worker_died death_of(future<T>& work) {
    try {
        work.result();
    } catch (const worker_died& death) {
        return death;
    }
    throw std::logic_error("the worker did not die");
}

/// The socket of the worker that this runs in: the only one it has.
int own_socket() {
    for (int fd = 3; fd < 64; ++fd) {
        struct stat file {};
        if (::fstat(fd, &file) == 0 && S_ISSOCK(file.st_mode)) return fd;
    }
    std::abort();
}

TEST(process_pool_faults, a_killed_worker_costs_one_task) {
    signpost post;
    process_pool_executor pool(2);
    auto doomed = pool.submit(stay, post.path());
    const pid_t pid = post.next();
    std::vector<future<int>> others;
    for (int i = 0; i < 100; ++i) others.push_back(pool.submit(square, i));
    others.front().result();
    ::kill(pid, SIGKILL);
    const auto death = death_of(doomed);
    EXPECT_EQ(death.pid(), pid);
    EXPECT_EQ(death.signal(), SIGKILL);
    EXPECT_EQ(death.exit_code(), 0);
    EXPECT_EQ(std::string(death.what()), "process_pool_executor: worker (pid " + std::to_string(pid) +
                                             ") died: SIGKILL; its task failed, the others go on");
    for (int i = 0; i < 100; ++i) EXPECT_EQ(others[static_cast<std::size_t>(i)].result(), i * i);
    EXPECT_EQ(pool.submit(square, 3).result(), 9);
}

TEST(process_pool_faults, exit_in_a_task_is_a_crash) {
    process_pool_executor pool(1);
    auto quiet = pool.submit([] { ::_exit(0); });
    const auto death = death_of(quiet);
    EXPECT_EQ(death.signal(), 0);
    EXPECT_EQ(death.exit_code(), 0);
    auto loud = pool.submit([] { ::_exit(99); });
    const auto second = death_of(loud);
    EXPECT_EQ(second.exit_code(), 99);
    EXPECT_THAT(second.what(), testing::HasSubstr("exit code 99"));
    EXPECT_NE(second.pid(), death.pid());
    EXPECT_EQ(pool.submit(square, 3).result(), 9);
}

TEST(process_pool_faults, fatal_signals_are_named) {
    process_pool_executor pool(1);
    const auto raise = [](int signal) {
        const rlimit no_core{0, 0};
        ::setrlimit(RLIMIT_CORE, &no_core);
        ::signal(signal, SIG_DFL);
        ::raise(signal);
    };
    for (const auto& [signal, name] :
         {std::pair(SIGABRT, "SIGABRT"), {SIGSEGV, "SIGSEGV"}, {SIGBUS, "SIGBUS"}, {SIGTERM, "SIGTERM"}}) {
        auto work = pool.submit(raise, int{signal});
        const auto death = death_of(work);
        EXPECT_EQ(death.signal(), signal);
        EXPECT_THAT(death.what(), testing::HasSubstr(name));
    }
}

TEST(process_pool_faults, each_failed_task_has_its_own_error) {
    process_pool_executor pool(3);
    std::vector<future<void>> crashes;
    for (int i = 0; i < 20; ++i) crashes.push_back(pool.submit([](int code) { ::_exit(code); }, i));
    for (int i = 0; i < 20; ++i) EXPECT_EQ(death_of(crashes[static_cast<std::size_t>(i)]).exit_code(), i);
}

TEST(process_pool_faults, an_idle_worker_that_is_killed_costs_nothing) {
    process_pool_executor pool(1);
    for (int i = 0; i < 20; ++i) {
        const pid_t pid = pool.submit([] { return ::getpid(); }).result();
        wait_until_asleep(only_child());  // the fork server has no copy of the worker's socket any more
        const process_watch worker(pid);
        ::kill(pid, SIGKILL);
        ASSERT_TRUE(worker.ends_within(5'000));
        EXPECT_EQ(pool.submit(square, i).result(), i * i);
    }
}

TEST(process_pool_faults, a_task_that_a_dead_worker_could_not_take_can_be_cancelled) {
    signpost gate;
    process_pool_executor pool(1);
    const pid_t pid = pool.submit([] { return ::getpid(); }).result();
    const pid_t server = only_child();
    auto first = pool.submit(wait_at, gate.path());
    std::promise<void> reached;
    std::promise<void> go_on;
    first.add_done_callback([&] {  // holds the pool's thread, so that it sees the death and the task together
        reached.set_value();
        go_on.get_future().wait();
    });
    signpost::write(gate.path(), 0);
    reached.get_future().wait();
    wait_until_asleep(server);  // it has no copy of the worker's socket any more
    stop_child(server);         // it tells nobody of the death
    const process_watch worker(pid);
    ::kill(pid, SIGKILL);
    ASSERT_TRUE(worker.ends_within(5'000));
    auto work = pool.submit(square, 2);
    go_on.set_value();
    while (!work.running()) std::this_thread::yield();
    const auto deadline = std::chrono::steady_clock::now() + 5s;
    while (!work.done() && std::chrono::steady_clock::now() < deadline)
        pool.shutdown({.wait = false, .cancel_futures = true});
    EXPECT_TRUE(work.cancelled());
    ::kill(server, SIGCONT);
}

TEST(process_pool_faults, a_random_killer_leaves_every_future_done_once) {
    process_pool_executor pool(3);
    std::atomic<int> callbacks = 0;
    constexpr int count = 2'000;
    std::vector<future<int>> squares;
    for (int i = 0; i < count; ++i) {
        squares.push_back(pool.submit(
            [](int x) {
                if (x % 50 == 0) ::kill(::getpid(), SIGKILL);
                return x;
            },
            i));
        squares.back().add_done_callback([&] { ++callbacks; });
    }
    int died = 0;
    for (int i = 0; i < count; ++i) {
        try {
            EXPECT_EQ(squares[static_cast<std::size_t>(i)].result(), i);
        } catch (const worker_died&) {
            EXPECT_EQ(i % 50, 0);
            ++died;
        }
    }
    EXPECT_EQ(died, count / 50);
    pool.shutdown();
    EXPECT_EQ(callbacks, count);
}

TEST(process_pool_faults, a_worker_killed_while_it_sends_a_large_result_blocks_nobody) {
    process_pool_executor pool(1);
    auto large = pool.submit([] {
        std::thread([pid = ::getpid()] { ::kill(pid, SIGKILL); }).detach();
        return std::vector<double>(std::size_t{4} << 20U, 1.0);
    });
    EXPECT_THROW(large.result(), worker_died);
    EXPECT_EQ(pool.submit(square, 3).result(), 9);
}

TEST(process_pool_faults, a_worker_killed_before_it_begins_a_call_with_a_large_argument_costs_nothing) {
    process_pool_executor pool(1);
    const pid_t pid = pool.submit([] { return ::getpid(); }).result();
    ::kill(pid, SIGSTOP);
    auto large = pool.submit([](const std::vector<double>& v) { return v.size(); },
                             std::vector<double>(std::size_t{4} << 20U, 1.0));
    while (!large.running()) std::this_thread::yield();
    ::kill(pid, SIGKILL);
    EXPECT_EQ(large.result(), std::size_t{4} << 20U);
    EXPECT_EQ(pool.submit(square, 3).result(), 9);
}

TEST(process_pool_faults, a_worker_that_sends_garbage_is_killed) {
    process_pool_executor pool(1);
    auto garbage = pool.submit([] {
        const std::string text(100, 'x');
        if (::write(own_socket(), text.data(), text.size()) < 0) std::abort();
        for (;;) ::pause();
    });
    auto death = death_of(garbage);
    EXPECT_EQ(death.signal(), SIGKILL);
    EXPECT_THAT(death.what(), testing::HasSubstr("without its mark"));
    auto huge = pool.submit([] {
        struct {
            std::uint32_t magic = 0x54435254;
            std::uint32_t kind = 5;
            std::uint64_t size = std::numeric_limits<std::uint64_t>::max() - 8;
            std::uint64_t detail = 0;
        } head;
        if (::write(own_socket(), &head, sizeof head) < 0) std::abort();
        for (;;) ::pause();
    });
    EXPECT_THAT(death_of(huge).what(), testing::HasSubstr("larger than the limit"));
    EXPECT_EQ(pool.submit(square, 3).result(), 9);
}

/// Writes over the memory that this worker shares with its pool.
void scribble(int value) {
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
        if (line.find("memfd:tercet-worker") == std::string::npos) continue;
        std::size_t begin = 0;
        std::size_t end = 0;
        std::sscanf(line.c_str(), "%zx-%zx", &begin, &end);
        std::memset(reinterpret_cast<void*>(begin), value, end - begin);  // NOLINT(performance-no-int-to-ptr)
    }
}

TEST(process_pool_faults, a_worker_that_writes_over_the_shared_memory_harms_itself_alone) {
    process_pool_executor pool(2);
    for (const int value : {0xff, 0x01, 0x7f}) {
        auto wild = pool.submit(scribble, value);
        ASSERT_NO_THROW(static_cast<void>(wild.exception(20s)));  // its answer may still have come through
        std::vector<future<std::size_t>> others;                  // so much that it goes round in each ring
        for (int i = 0; i < 50; ++i)
            others.push_back(
                pool.submit([](const std::string& text) { return text.size(); }, std::string(10'000, 'x')));
        for (auto& each : others) ASSERT_EQ(each.result(20s), 10'000U);
    }
}

TEST(process_pool_faults, a_worker_that_closes_its_socket_blocks_nobody) {
    process_pool_executor pool(1);
    // By its answer, or by its end: its other thread may see the closed socket first.
    ASSERT_NO_THROW(static_cast<void>(pool.submit([] { ::close(own_socket()); }).exception(20s)));
    auto large = pool.submit([](const std::vector<double>& v) { return v.size(); },
                             std::vector<double>(std::size_t{4} << 20U, 1.0));
    ASSERT_NO_THROW(static_cast<void>(large.exception(20s)));  // from that worker, which cannot, or from another
    EXPECT_EQ(pool.submit(square, 3).result(), 9);
}

TEST(process_pool_faults, a_killed_fork_server_is_started_again) {
    signpost post;
    process_pool_executor pool(2);
    for (int round = 0; round < 3; ++round) {
        auto running = pool.submit(stay, post.path());
        const process_watch worker(post.next());
        const pid_t server = only_child();
        ::kill(server, SIGKILL);
        const auto death = death_of(running);
        EXPECT_EQ(death.exit_code(), -1);
        EXPECT_THAT(death.what(), testing::HasSubstr("the fork server had ended (SIGKILL)"));
        EXPECT_TRUE(worker.ends_within(2'000));
        EXPECT_EQ(pool.submit(square, 3).result(), 9);
        EXPECT_NE(only_child(), server);
    }
    pool.shutdown();
    EXPECT_FALSE(has_zombie());
}

TEST(process_pool_faults, a_crash_at_the_start_breaks_the_pool_with_the_reason) {
    process_pool_executor pool({.max_workers = 1, .initializer = [] { ::_exit(77); }});
    std::vector<future<int>> squares;
    try {
        for (int i = 0; i < 100; ++i) squares.push_back(pool.submit(square, i));
    } catch (const broken_process_pool&) {
    }
    ASSERT_FALSE(squares.empty());
    for (auto& each : squares) {
        try {
            each.result();
            FAIL();
        } catch (const broken_process_pool& e) {
            EXPECT_THAT(e.what(), testing::HasSubstr("exit code 77"));
        }
    }
    EXPECT_THROW(static_cast<void>(pool.submit(square, 1)), broken_process_pool);
}

TEST(process_pool_faults, an_initializer_that_throws_breaks_the_pool_with_its_error) {
    process_pool_executor pool({.max_workers = 3, .initializer = [] { throw std::runtime_error("no licence"); }});
    auto work = pool.submit(square, 1);
    try {
        work.result();
        FAIL();
    } catch (const broken_executor& e) {
        EXPECT_THAT(e.what(), testing::HasSubstr("std::runtime_error: no licence"));
    }
}

TEST(process_pool_faults, a_pool_does_not_break_while_others_of_its_workers_are_starting) {
    signpost gate;
    process_pool_executor pool({.max_workers = 4, .initializer = {enter_or_die, gate.path()}});
    std::vector<future<int>> squares;
    for (int i = 0; i < 4; ++i) squares.push_back(pool.submit(square, i));
    for (int death = 0; death < 3; ++death) {
        const auto before = pool.resource_usage().peak_rss_bytes;
        signpost::write(gate.path(), 1);
        while (pool.resource_usage().peak_rss_bytes == before) std::this_thread::yield();
    }
    for (int i = 0; i < 8; ++i) signpost::write(gate.path(), 0);
    for (int i = 0; i < 4; ++i) EXPECT_EQ(squares[static_cast<std::size_t>(i)].result(), i * i);
}

TEST(process_pool_faults, a_pool_that_the_fork_server_does_not_answer_breaks_alone) {
    signpost gate;
    process_pool_executor served(1);
    served.submit(square, 1).result();
    auto running = served.submit(wait_at, gate.path());
    const pid_t server = only_child();
    stop_child(server);
    {
        process_pool_executor pool({.max_workers = 1, .start_timeout = 100ms});
        auto work = pool.submit(square, 2);
        try {
            work.result();
            ADD_FAILURE();
        } catch (const broken_process_pool& e) {
            EXPECT_THAT(e.what(), testing::HasSubstr("the fork server did not answer within 100 ms"));
        }
    }
    signpost::write(gate.path(), 0);
    EXPECT_NO_THROW(running.result());
    EXPECT_EQ(served.submit(square, 3).result(), 9);
    ::kill(server, SIGCONT);
    process_pool_executor later(1);
    EXPECT_EQ(later.submit(square, 4).result(), 16);
    EXPECT_EQ(only_child(), server);
}

TEST(process_pool_faults, a_worker_that_is_not_ready_in_time_is_given_up) {
    process_pool_executor pool({.max_workers = 1,
                                .initializer =
                                    [] {
                                        for (;;) ::pause();
                                    },
                                .start_timeout = 100ms});
    auto work = pool.submit(square, 1);
    try {
        work.result();
        FAIL();
    } catch (const broken_process_pool& e) {
        EXPECT_THAT(e.what(), testing::HasSubstr("not ready within 100 ms"));
    }
}

TEST(process_pool_faults, no_descriptors_left_is_an_error_that_says_so) {
#ifdef TERCET_UBSAN
    GTEST_SKIP() << "UBSan itself opens a pipe to look at memory, and takes a failure for an error";
#endif
    process_pool_executor pool(1);
    pool.submit(square, 1).result();
    rlimit before{};
    ::getrlimit(RLIMIT_NOFILE, &before);
    rlimit none = before;
    none.rlim_cur = 0;
    ::setrlimit(RLIMIT_NOFILE, &none);
    auto crash = pool.submit([] { ::_exit(1); });
    auto next = pool.submit(square, 2);
    EXPECT_THROW(crash.result(), worker_died);
    try {
        next.result();
        ADD_FAILURE();
    } catch (const broken_process_pool& e) {
        EXPECT_THAT(e.what(), testing::HasSubstr("Too many open files"));
    }
    ::setrlimit(RLIMIT_NOFILE, &before);
    process_pool_executor other(1);
    EXPECT_EQ(other.submit(square, 2).result(), 4);
}

TEST(process_pool_faults, a_fork_server_that_cannot_be_watched_is_not_kept) {
#ifdef TERCET_UBSAN
    GTEST_SKIP() << "UBSan itself opens a pipe to look at memory, and takes a failure for an error";
#endif
    terminate_all();
    rlimit before{};
    ::getrlimit(RLIMIT_NOFILE, &before);
    std::vector<int> filling(64);
    for (int& each : filling) each = ::dup(STDERR_FILENO);
    for (int room = 5; room < 16; ++room) {  // descriptors run out at one step of the start after the other
        rlimit tight = before;
        tight.rlim_cur = static_cast<rlim_t>(filling.back() + 1 + room);
        process_pool_executor pool(1);
        ::setrlimit(RLIMIT_NOFILE, &tight);
        try {
            pool.submit(square, 2).result();
        } catch (const std::system_error&) {
        } catch (const broken_process_pool&) {
        }
        ::setrlimit(RLIMIT_NOFILE, &before);
        process_pool_executor other(1);
        EXPECT_EQ(other.submit(square, 2).result(), 4) << room;
        terminate_all();
        EXPECT_EQ(only_child(), 0) << room;
    }
    for (const int each : filling) ::close(each);
}

TEST(process_pool_faults, terminate_all_ends_everything_at_once) {
    signpost post;
    process_pool_executor pool(2);
    auto first = pool.submit(stay, post.path());
    auto second = pool.submit(stay, post.path());
    const process_watch workers[] = {process_watch(post.next()), process_watch(post.next())};
    auto queued = pool.submit(square, 1);
    std::jthread([] { terminate_all(); }).join();
    EXPECT_FALSE(has_zombie());
    EXPECT_EQ(only_child(), 0);
    for (const auto& each : workers) EXPECT_TRUE(each.ends_within(0));
    EXPECT_THROW(first.result(), worker_died);
    EXPECT_THROW(second.result(), worker_died);
    EXPECT_THROW(queued.result(), broken_process_pool);
    process_pool_executor other(1);
    EXPECT_EQ(other.submit(square, 2).result(), 4);
}

TEST(process_pool_faults, signals_to_the_parent_disturb_nothing) {
    struct sigaction handler {};
    handler.sa_handler = [](int) {};
    struct sigaction before {};
    ::sigaction(SIGUSR1, &handler, &before);
    process_pool_executor pool(2);
    const pthread_t self = ::pthread_self();
    std::jthread storm([self](const std::stop_token& stop) {
        while (!stop.stop_requested()) {
            ::pthread_kill(self, SIGUSR1);
            std::this_thread::yield();
        }
    });
    for (int i = 0; i < 200; ++i)
        ASSERT_EQ(pool.submit([](const std::string& s) { return s.size(); }, std::string(100'000, 'x')).result(),
                  100'000U);
    storm.request_stop();
    storm.join();
    ::sigaction(SIGUSR1, &before, nullptr);
}

TEST(process_pool_faults, the_users_own_children_and_waits_are_left_alone) {
    process_pool_executor pool(1);
    pool.submit(square, 1).result();
    const pid_t child = ::fork();
    if (child == 0) ::_exit(5);
    auto crash = pool.submit([] { ::_exit(1); });
    EXPECT_THROW(crash.result(), worker_died);
    int status = 0;
    EXPECT_EQ(::waitpid(-1, &status, 0), child);
    EXPECT_EQ(WEXITSTATUS(status), 5);
    EXPECT_EQ(pool.submit(square, 3).result(), 9);
}

TEST(process_pool_faults, a_forked_copy_does_not_drive_the_pool) {
    auto pool = std::make_unique<process_pool_executor>(1);
    pool->submit(square, 1).result();
    const pid_t child = ::fork();
    if (child == 0) {
        const auto refuses = [](auto call) {
            try {
                call();
            } catch (const invalid_state_error&) {
                return true;
            }
            return false;
        };
        const bool is_refused = refuses([&] { static_cast<void>(pool->submit(square, 2)); }) &&
                                refuses([&] { pool->worker_pids(); }) && refuses([&] { pool->resource_usage(); });
        pool.reset();
        ::_exit(is_refused ? 0 : 1);
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(pool->submit(square, 3).result(), 9);
}

TEST(process_pool_faults, a_forked_copy_with_sockets_of_the_pool_costs_no_cpu_time) {
    process_pool_executor pool(1);
    const pid_t pid = pool.submit([] { return ::getpid(); }).result();
    wait_until_asleep(only_child());  // the fork server has no copy of the worker's socket any more
    const pid_t copy = ::fork();
    if (copy == 0)
        for (;;) ::pause();
    const process_watch worker(pid);
    ::kill(pid, SIGKILL);
    EXPECT_TRUE(worker.ends_within(5'000));
    EXPECT_NE(pool.submit([] { return ::getpid(); }).result(), pid);
    const auto cpu_time = [] {
        timespec used{};
        ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
        return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
    };
    const auto before = cpu_time();
    std::this_thread::sleep_for(300ms);
    EXPECT_LT(cpu_time() - before, 100ms);
    ::kill(copy, SIGKILL);
    ::waitpid(copy, nullptr, 0);
}

TEST(process_pool_faults, a_pool_made_on_a_thread_that_ended_lives) {
    std::unique_ptr<process_pool_executor> pool;
    std::thread([&] {
        pool = std::make_unique<process_pool_executor>(1);
        pool->submit(square, 1).result();
    }).join();
    EXPECT_EQ(pool->submit(square, 2).result(), 4);
}

TEST(process_pool_faults, shutdown_without_waiting_survives_a_crash) {
    signpost post;
    auto pool = std::make_unique<process_pool_executor>(1);
    auto work = pool->submit(stay, post.path());
    const pid_t pid = post.next();
    pool->shutdown({.wait = false});
    ::kill(pid, SIGKILL);
    pool.reset();
    EXPECT_THROW(work.result(), worker_died);
}

}  // namespace
}  // namespace tercet::multiprocessing
