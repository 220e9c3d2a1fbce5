// What a pool takes, and that it gives it back: descriptors, names, memory, processes of its processes, time of others.

#include <tercet/multiprocessing.hpp>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <latch>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "process_probe.hpp"
#include "sanitizers.hpp"

namespace tercet::multiprocessing {
namespace {

using namespace std::chrono_literals;
using clock_type = std::chrono::steady_clock;

int twice(int x) { return 2 * x; }
std::size_t size_of(const std::vector<char>& bytes) { return bytes.size(); }
void stay(const std::string& here) {
    signpost::write(here, static_cast<int>(::getpid()));
    for (;;) ::pause();
}
void die_with(const std::vector<char>&) { ::raise(SIGKILL); }
void throw_in_a_thread() {
    std::thread([] { throw std::runtime_error("in a thread"); }).join();
}
void spin(const std::string& here) {
    signpost::write(here, static_cast<int>(::getpid()));
    for (std::atomic<unsigned> rounds = 0;;) ++rounds;
}

std::set<std::string> names_in(const char* folder) {
    std::set<std::string> names;
    for (const auto& each : std::filesystem::directory_iterator(folder)) names.insert(each.path().filename().string());
    return names;
}

/// Files that the descriptors of this process lead to.
std::vector<std::string> open_files() {
    std::vector<std::string> links;
    for (const auto& each : std::filesystem::directory_iterator("/proc/self/fd")) {
        std::error_code ignored;
        links.push_back(std::filesystem::read_symlink(each.path(), ignored).string());
    }
    return links;
}
long open_memory_files() {
    return std::ranges::count_if(open_files(), [](const std::string& each) { return each.starts_with("/memfd:"); });
}

/// Tries to cut off the memory that a worker shares with its pool. The number of the error, 0 when that worked; -1 when
/// there is no way to the file.
int shorten_own_segment() {
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
        if (line.find("/memfd:tercet-worker") == std::string::npos) continue;
        const std::string path = "/proc/self/map_files/" + line.substr(0, line.find(' '));
        const int file = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
        if (file < 0) return -1;
        const int error = ::ftruncate(file, 0) == 0 ? 0 : errno;
        ::close(file);
        return error;
    }
    return -1;
}

/// Is written slowly: after somebody has said so.
struct slow_to_write {
    std::string until = {};

    template <class Archive>
    void serialize(Archive& archive) {
        if constexpr (Archive::is_saving)
            if (!until.empty()) signpost::read(until);
        archive(until);
        until.clear();
    }
};
int take(const slow_to_write&) { return 1; }
slow_to_write make(const std::string& until) { return {until}; }

/// How long a message takes to another process and back, over two pipes.
std::chrono::nanoseconds round_trip_by_pipes(int rounds) {
    std::array<int, 2> there{};
    std::array<int, 2> back{};
    if (::pipe2(there.data(), O_CLOEXEC) != 0 || ::pipe2(back.data(), O_CLOEXEC) != 0) std::abort();
    const pid_t child = ::fork();
    char byte = 0;
    if (child == 0) {
        ::close(there[1]);
        while (::read(there[0], &byte, 1) == 1)
            if (::write(back[1], &byte, 1) != 1) break;
        ::_exit(0);
    }
    const auto begun = clock_type::now();
    for (int i = 0; i < rounds; ++i)
        if (::write(there[1], &byte, 1) != 1 || ::read(back[0], &byte, 1) != 1) std::abort();
    const auto took = clock_type::now() - begun;
    for (const int each : {there[0], there[1], back[0], back[1]}) ::close(each);
    ::waitpid(child, nullptr, 0);
    return took / rounds;
}

}  // namespace

TEST(process_pool_bounds, a_worker_has_no_descriptor_of_its_parent_that_other_programs_would_inherit) {
    std::array<int, 2> inheritable{};
    ASSERT_EQ(::pipe(inheritable.data()), 0);  // without O_CLOEXEC
    const auto name = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(inheritable[0])).string();
    terminate_all();
    for (const start_method method : {start_method::forkserver, start_method::spawn}) {
        process_pool_executor pool({.max_workers = 1, .start_method = method});
        EXPECT_EQ(std::ranges::count(pool.submit(open_files).result(), name), 0) << to_string(method);
    }
    ::close(inheritable[0]);
    ::close(inheritable[1]);
}

TEST(process_pool_bounds, nothing_of_the_module_has_a_name_in_the_file_system) {
    const auto before = names_in("/dev/shm");
    process_pool_executor pool(2);
    EXPECT_EQ(pool.submit(size_of, std::vector<char>(3'000'000)).result(), 3'000'000U);
    queue<int> items(10);
    items.put(1);
    lock door;
    value<int> number(1);
    array<double> numbers(1'000);
    shared_array<double> large(100'000);
    shareable_list words({std::string("a"), std::string("b")});
    manager shared;
    auto list = shared.list<int>();
    list.append(1);
    EXPECT_EQ(names_in("/dev/shm"), before);
}

TEST(process_pool_bounds, memory_of_calls_whose_workers_were_killed_comes_back) {
    process_pool_executor pool(2);
    const auto kill_some = [&pool] {
        for (int i = 0; i < 10; ++i) {
            auto killed = pool.submit(die_with, std::vector<char>(1'000'000, 'x'));
            EXPECT_THROW(killed.result(60s), worker_died);
        }
        EXPECT_EQ(pool.submit(size_of, std::vector<char>(1'000'000)).result(60s), 1'000'000U);
    };
    kill_some();
    const long before = open_memory_files();
    for (int round = 0; round < 3; ++round) kill_some();
    EXPECT_LE(open_memory_files(), before + 2) << "each worker may keep one for the next call";
}

TEST(process_pool_bounds, a_worker_that_is_killed_takes_along_what_it_has_started) {
    signpost post;
    process_pool_executor pool(1);
    auto nested = pool.submit(
        [](const std::string& here) {
            process_pool_executor inner(1);
            process child(spin, here);
            child.start();
            inner.submit(spin, here).result();
        },
        post.path());
    const process_watch first(post.next());
    const process_watch second(post.next());
    ::kill(pool.worker_pids().at(0), SIGKILL);
    EXPECT_THROW(nested.result(60s), worker_died);
    EXPECT_TRUE(first.ends_within(2'000));
    EXPECT_TRUE(second.ends_within(2'000));
}

TEST(process_pool_bounds, an_exception_that_leaves_a_thread_of_a_call_costs_that_call) {
    process_pool_executor pool(1);
    auto call = pool.submit(throw_in_a_thread);
    try {
        call.result(60s);
        ADD_FAILURE();
    } catch (const worker_died& death) {
        EXPECT_EQ(death.signal(), SIGABRT);
    }
    EXPECT_EQ(pool.submit(twice, 2).result(60s), 4);
}

TEST(process_pool_bounds, a_worker_that_dies_again_and_again_while_it_is_replaced_costs_calls_and_no_more) {
    signpost post;
    process_pool_executor pool(1);
    for (int round = 0; round < 5; ++round) {
        auto running = pool.submit(stay, post.path());
        const pid_t pid = post.next();
        auto behind = pool.submit({.retries = 5}, twice, round);
        kill_worker(pid, SIGKILL);
        const auto give_up = clock_type::now() + 60s;
        for (bool is_killed = false; !is_killed && clock_type::now() < give_up; std::this_thread::yield())
            for (const pid_t next : pool.worker_pids())
                if (next != pid) is_killed = kill_worker(next, SIGKILL) || is_killed;
        EXPECT_THROW(running.result(60s), worker_died);
        EXPECT_EQ(behind.result(60s), 2 * round);
    }
}

TEST(process_pool_bounds, workers_that_are_ready_make_the_calls_when_one_more_cannot_start) {
    const signpost gate;
    const process_pool_options options{.max_workers = 4,
                                       .initializer = {[](const std::string& path) {
                                                           if (signpost::read(path) != 0)
                                                               throw std::runtime_error("no room");
                                                       },
                                                       gate.path()}};
    std::vector<process_watch> ready;
    {
        process_pool_executor pool(options);
        pool.warm_up();
        for (int i = 0; i < 3; ++i) signpost::write(gate.path(), 0);
        for (int i = 0; i < 20; ++i) signpost::write(gate.path(), 1);
        const auto end = clock_type::now() + 60s;
        while (pool.statistics().workers < 3 && clock_type::now() < end) std::this_thread::yield();
        for (int i = 0; i < 100; ++i) EXPECT_EQ(pool.submit(twice, i).result(60s), 2 * i);
        for (const pid_t each : pool.worker_pids()) ready.emplace_back(each);
        EXPECT_LT(pool.statistics().started, 3U + 20U) << "it is not tried again and again";
    }
    EXPECT_GE(ready.size(), 3U);
    for (const auto& each : ready) EXPECT_TRUE(each.ends_within(30'000));
}

TEST(process_pool_bounds, a_worker_cannot_cut_off_the_memory_that_it_shares) {
    process_pool_executor pool(1);
    const int error = pool.submit(shorten_own_segment).result();
    if (error < 0) GTEST_SKIP() << "only root may open what is mapped";
    EXPECT_EQ(error, EPERM);
    EXPECT_EQ(pool.submit(twice, 2).result(), 4);
}

TEST(process_pool_bounds, an_argument_or_a_result_that_is_slow_to_write_holds_up_its_own_call_only) {
    signpost gate;
    process_pool_executor pool(2);
    std::latch has_begun(1);
    std::jthread slow([&] {
        has_begun.count_down();
        EXPECT_EQ(pool.submit(take, slow_to_write{gate.path()}).result(60s), 1);
    });
    has_begun.wait();
    for (int i = 0; i < 100; ++i) EXPECT_EQ(pool.submit(twice, i).result(60s), 2 * i);
    signpost::write(gate.path(), 1);
    slow.join();

    signpost gate_of_result;
    auto result = pool.submit(make, gate_of_result.path());
    for (int i = 0; i < 100; ++i) EXPECT_EQ(pool.submit(twice, i).result(60s), 2 * i);
    EXPECT_FALSE(result.done());
    signpost::write(gate_of_result.path(), 1);
    EXPECT_EQ(result.result(60s).until, "");
}

TEST(process_pool_bounds, large_data_on_its_way_holds_no_shutdown_up) {
    const std::vector<char> large(20'000'000, 'x');
    for (const bool by_killing : {false, true}) {
        std::vector<future<std::size_t>> calls;
        {
            process_pool_executor pool({.max_workers = 2, .queue_bytes = process_pool_options::unbounded});
            for (int i = 0; i < 8; ++i) calls.push_back(pool.submit(size_of, large));
            if (by_killing)
                pool.kill_workers();
            else
                pool.shutdown({.cancel_futures = true});
        }
        for (auto& each : calls) {
            EXPECT_TRUE(each.done());
            try {
                EXPECT_EQ(each.result(0s), large.size());
            } catch (const cancelled_error&) {
            } catch (const worker_died&) {
                EXPECT_TRUE(by_killing);
            }
        }
    }
}

TEST(process_pool_bounds, calls_that_wait_keep_no_more_memory_than_they_may) {
    if (is_under_address_sanitizer || is_under_thread_sanitizer) GTEST_SKIP() << "they need memory of their own";
    constexpr std::size_t part = 1'000'000;
    constexpr std::size_t most_waiting = 8 * part + part / 2;
    signpost gate;
    process_pool_executor pool({.max_workers = 1, .queue_bytes = most_waiting});
    auto held = pool.submit([](const std::string& until) { signpost::read(until); }, gate.path());
    const auto memory = [] { return static_cast<std::size_t>(resident_pages(::getpid())) * 4096; };
    const std::size_t before = memory();
    std::atomic<int> submitted = 0;
    std::jthread feeds([&] {
        std::vector<future<std::size_t>> calls;
        for (int i = 0; i < 100; ++i) {
            calls.push_back(pool.submit(size_of, std::vector<char>(part, 'x')));
            ++submitted;
        }
        for (auto& each : calls) EXPECT_EQ(each.result(60s), part);
    });
    const auto give_up = clock_type::now() + 60s;
    while (submitted < 8 && clock_type::now() < give_up) std::this_thread::yield();
    EXPECT_GE(submitted, 8);
    EXPECT_LE(memory(), before + 4 * most_waiting);
    EXPECT_LE(submitted, 20) << "and some that stand with the worker";
    signpost::write(gate.path(), 1);
    feeds.join();
    held.result();
}

TEST(process_pool_bounds, four_gigabytes_go_to_a_worker) {
    if (!std::getenv("TERCET_FULL_SIZE")) GTEST_SKIP() << "set TERCET_FULL_SIZE: it needs 9 GiB of memory";
    constexpr std::size_t size = (std::size_t{4} << 30U) + 12'345;
    process_pool_executor pool({.max_workers = 1, .max_message_bytes = std::size_t{5} << 30U});
    auto call = pool.submit(size_of, std::vector<char>(size, 'x'));
    EXPECT_EQ(call.result(), size);
}

TEST(process_pool_bounds, four_workers_on_one_processor_are_about_as_fast_as_pipes) {
    if (is_under_address_sanitizer || is_under_thread_sanitizer) GTEST_SKIP() << "they slow one side down";
    cpu_set_t before;
    cpu_set_t one;
    ASSERT_EQ(::sched_getaffinity(0, sizeof before, &before), 0);
    CPU_ZERO(&one);
    CPU_SET(static_cast<std::size_t>(::sched_getcpu()), &one);
    ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
    terminate_all();  // the next server has that processor only
    double best = 1e9;
    {
        process_pool_executor pool(4);
        pool.warm_up();
        for (int attempt = 0; attempt < 5; ++attempt) {
            const auto by_pipes = round_trip_by_pipes(500);
            const auto begun = clock_type::now();
            for (int i = 0; i < 500; ++i) pool.submit(twice, i).result();
            const auto by_pool = (clock_type::now() - begun) / 500;
            best = std::min(best, static_cast<double>(by_pool.count()) / static_cast<double>(by_pipes.count()));
        }
    }
    ASSERT_EQ(::sched_setaffinity(0, sizeof before, &before), 0);
    terminate_all();
    RecordProperty("ratio", std::to_string(best));
    EXPECT_LT(best, 4) << "a side that spins where the other needs the processor takes dozens of times as long";
}

}  // namespace tercet::multiprocessing
