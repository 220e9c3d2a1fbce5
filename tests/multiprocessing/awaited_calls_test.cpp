#include <tercet/asyncio.hpp>
#include <tercet/multiprocessing.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <latch>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "process_probe.hpp"

namespace tercet::multiprocessing {
namespace {

using namespace std::chrono_literals;
using asyncio::coro;
using asyncio::loop_backend;

int square(int x) { return x * x; }
int refuse(int) { throw std::range_error("in the worker"); }
void die() { ::raise(SIGKILL); }
std::vector<double> many(std::size_t count) { return std::vector<double>(count, 0.5); }
int wait_at(const std::string& gate_path) { return static_cast<int>(signpost::read(gate_path)); }

/// How often the thread of that name has gone to sleep.
long sleeps_of(const std::string& name) {
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
        std::string line;
        std::getline(std::ifstream(task.path() / "comm"), line);
        if (line != name) continue;
        for (std::ifstream status(task.path() / "status"); std::getline(status, line);)
            if (line.starts_with("voluntary_ctxt_switches:")) return std::stol(line.substr(line.find(':') + 1));
    }
    throw std::runtime_error("there is no thread " + name);
}

/// Whether a timerfd of this process is going to end.
bool is_a_timer_set() {
    for (const auto& file : std::filesystem::directory_iterator("/proc/self/fdinfo"))
        if (std::ifstream info(file.path()); info)
            for (std::string line; std::getline(info, line);)
                if (line.starts_with("it_value:")) {
                    if (line.find("(0, 0)") == std::string::npos) return true;
                    break;
                }
    return false;
}

class awaited_calls : public testing::TestWithParam<loop_backend> {
protected:
    void SetUp() override {
        const asyncio::event_loop loop({.backend = GetParam()});
        if (loop.backend() != GetParam()) GTEST_SKIP() << to_string(GetParam()) << " is refused here";
    }
    template <class T>
    static T run(coro<T> main) {
        return asyncio::run(std::move(main), {.backend = GetParam()});
    }
};

TEST_P(awaited_calls, give_their_results_and_their_errors) {
    process_pool_executor pool(2);
    auto main = [&]() -> coro<void> {
        const int nine = co_await pool.submit(square, 3);
        EXPECT_EQ(nine, 9);
        auto refused = pool.submit(refuse, 1);
        try {
            co_await refused;
            ADD_FAILURE();
        } catch (const std::range_error& e) {
            EXPECT_STREQ(e.what(), "in the worker");
        }
        const std::vector<double> large = co_await pool.submit(many, std::size_t{1} << 20U);  // beside the ring
        EXPECT_EQ(large.size(), std::size_t{1} << 20U);
        auto dead = pool.submit(die);
        try {
            co_await dead;
            ADD_FAILURE();
        } catch (const worker_died& e) {
            EXPECT_EQ(e.signal(), SIGKILL);
        }
        const int four = co_await pool.submit(square, 2);
        EXPECT_EQ(four, 4);
    };
    run(main());
}

TEST_P(awaited_calls, do_not_wake_the_pools_thread) {
    constexpr int calls = 500;
    process_pool_executor pool(1);
    auto main = [&]() -> coro<long> {
        co_await pool.submit(square, 1);
        const long before = sleeps_of("tercet-pool");
        for (int i = 0; i < calls; ++i) {
            const int result = co_await pool.submit(square, i);
            EXPECT_EQ(result, i * i);
        }
        co_return sleeps_of("tercet-pool") - before;
    };
    EXPECT_LT(run(main()), calls / 2);  // but for its looks at the loop
}

TEST_P(awaited_calls, may_be_many_at_once) {
    process_pool_executor pool(2);
    auto call = [&](int i) -> coro<int> { co_return co_await pool.submit(square, i); };
    auto main = [&]() -> coro<void> {
        std::vector<asyncio::task<int>> tasks;
        for (int i = 0; i < 3'000; ++i) tasks.push_back(asyncio::create_task(call(i)));
        for (int i = 0; i < 3'000; ++i) {
            const int result = co_await tasks[static_cast<std::size_t>(i)];
            EXPECT_EQ(result, i * i);
        }
    };
    run(main());
}

TEST_P(awaited_calls, come_to_several_loops_and_to_threads_at_once) {
    process_pool_executor pool(2);
    auto main = [&]() -> coro<void> {
        for (int i = 0; i < 500; ++i) {
            const int result = co_await pool.submit(square, i);
            EXPECT_EQ(result, i * i);
        }
    };
    const auto work = [&] { asyncio::run(main(), {.backend = GetParam()}); };
    const auto block = [&] {
        for (int i = 0; i < 500; ++i) EXPECT_EQ(pool.submit(square, i).result(), i * i);
    };
    std::vector<std::jthread> threads;
    for (int i = 0; i < 3; ++i) threads.emplace_back(work);
    threads.emplace_back(block);
}

TEST_P(awaited_calls, leave_the_pool_to_its_thread_when_the_loop_has_ended) {
    signpost gate;
    process_pool_executor pool(1);
    auto call = pool.submit(wait_at, gate.path());
    auto wait = [&]() -> coro<void> { co_await call; };
    auto main = [&]() -> coro<void> {
        auto waits = asyncio::create_task(wait());
        co_await asyncio::sleep(0s);
        waits.cancel();
        while (!waits.done()) co_await asyncio::sleep(0s);
        EXPECT_TRUE(waits.cancelled());
    };
    run(main());
    while (is_a_timer_set()) std::this_thread::yield();  // the pool's thread looks no more whether the loop is late
    std::latch is_done(1);
    call.add_done_callback([&] { is_done.count_down(); });
    signpost::write(gate.path(), 7);
    is_done.wait();
    EXPECT_EQ(call.result(), 7);
}

TEST_P(awaited_calls, hand_the_pool_over_at_once_when_loops_and_its_thread_take_turns) {
    constexpr int turns = 200;
    process_pool_executor pool(1);
    auto main = [&]() -> coro<int> { co_return co_await pool.submit(square, 3); };
    const auto from = std::chrono::steady_clock::now();
    for (int i = 0; i < turns; ++i) {
        EXPECT_EQ(run(main()), 9);
        std::latch is_done(1);
        auto other = pool.submit(square, 2);
        other.add_done_callback([&] { is_done.count_down(); });
        is_done.wait();
    }
    EXPECT_LT(std::chrono::steady_clock::now() - from,
              turns * 7ms);  // a look at the loop every 25 ms would be too late
}

TEST_P(awaited_calls, of_a_loop_that_is_blocked_hold_up_no_others) {
    signpost gate;
    process_pool_executor pool(2);
    auto main = [&]() -> coro<void> {
        auto held = pool.submit(wait_at, gate.path());
        auto wait = [&]() -> coro<int> { co_return co_await held; };
        auto waits = asyncio::create_task(wait());
        co_await asyncio::sleep(0s);  // from here on this loop takes the answers
        std::latch is_done(1);
        auto other = pool.submit(square, 2);
        other.add_done_callback([&] { is_done.count_down(); });
        is_done.wait();
        std::vector<future<int>> more;  // so many that they wait for one another
        for (int i = 0; i < 200; ++i) more.push_back(pool.submit(square, i));
        std::latch are_done(200);
        for (auto& each : more) each.add_done_callback([&] { are_done.count_down(); });
        are_done.wait();
        signpost::write(gate.path(), 3);
        const int three = co_await waits;
        EXPECT_EQ(three, 3);
    };
    run(main());
}

TEST_P(awaited_calls, may_be_cancelled_before_they_begin) {
    signpost gate;
    process_pool_executor pool(1);
    auto main = [&]() -> coro<void> {
        auto held = pool.submit(wait_at, gate.path());
        auto behind = [&]() -> coro<void> { co_await pool.submit(square, 2); };
        auto waits = asyncio::create_task(behind());
        co_await asyncio::sleep(0s);
        waits.cancel();
        while (!waits.done()) co_await asyncio::sleep(0s);
        EXPECT_TRUE(waits.cancelled());
        signpost::write(gate.path(), 1);
        const int one = co_await held;
        EXPECT_EQ(one, 1);
    };
    run(main());
}

TEST_P(awaited_calls, may_be_cancelled_while_they_run) {
    signpost never;
    process_pool_executor pool(1);
    auto main = [&]() -> coro<void> {
        auto running = pool.submit(wait_at, never.path());
        auto wait = [&]() -> coro<void> { co_await running; };
        auto waits = asyncio::create_task(wait());
        while (pool.statistics().running == 0) co_await asyncio::sleep(1ms);
        EXPECT_TRUE(pool.cancel_running(running));
        while (!waits.done()) co_await asyncio::sleep(1ms);
        EXPECT_TRUE(running.cancelled());
        EXPECT_TRUE(waits.cancelled());
        const int nine = co_await pool.submit(square, 3);
        EXPECT_EQ(nine, 9);

        // The one who waits gives up: the call runs on, and its result goes nowhere.
        signpost gate;
        auto give_up = [&]() -> coro<void> { co_await pool.submit(wait_at, gate.path()); };
        auto gives_up = asyncio::create_task(give_up());
        while (pool.statistics().running == 0) co_await asyncio::sleep(1ms);
        gives_up.cancel();
        while (!gives_up.done()) co_await asyncio::sleep(1ms);
        EXPECT_TRUE(gives_up.cancelled());
        signpost::write(gate.path(), 1);
        const int sixteen = co_await pool.submit(square, 4);
        EXPECT_EQ(sixteen, 16);
    };
    run(main());
}

TEST_P(awaited_calls, leave_no_descriptor_behind_when_futures_of_an_ended_pool_are_kept) {
    std::vector<future<int>> kept;
    const auto use_a_pool = [&] {
        process_pool_executor pool(1);
        auto call = pool.submit(square, 3);
        auto main = [&]() -> coro<void> { co_await call; };
        run(main());
        kept.push_back(std::move(call));
    };
    use_a_pool();
    const auto before = open_fds();
    for (int i = 0; i < 3; ++i) use_a_pool();
    EXPECT_EQ(open_fds(), before);
}

TEST_P(awaited_calls, end_by_their_time_limit) {
    signpost gate;
    process_pool_executor pool(1);
    auto main = [&]() -> coro<void> {
        auto slow = pool.submit({.timeout = 20ms}, wait_at, gate.path());
        try {
            co_await slow;
            ADD_FAILURE();
        } catch (const timeout_error&) {  // NOLINT(bugprone-empty-catch): as it should
        }
        const int nine = co_await pool.submit(square, 3);
        EXPECT_EQ(nine, 9);
    };
    run(main());
}

INSTANTIATE_TEST_SUITE_P(backends, awaited_calls,
                         testing::Values(loop_backend::epoll, loop_backend::io_uring, loop_backend::sim),
                         [](const auto& instance) { return std::string(to_string(instance.param)); });

}  // namespace
}  // namespace tercet::multiprocessing
