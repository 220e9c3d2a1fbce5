#include <tercet/futures/usable_cpus.hpp>
#include <tercet/multiprocessing.hpp>

#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

#include "process_probe.hpp"
#include "sanitizers.hpp"

namespace {

using namespace std::chrono_literals;
using namespace tercet;
using namespace tercet::multiprocessing;

std::atomic<bool> is_to_wait_for_fork = false;
std::atomic<bool> is_inside = false;
std::atomic<int> forks = 0;

/// Until this process has forked once more.
void wait_for_fork() {
    const int before = forks;
    is_inside = true;
    forks.wait(before);
}

std::atomic<pid_t> to_be_waited_for = 0;
std::atomic<bool> is_at_fork = false;

/// Until that thread has run into something that the library holds during a fork.
void wait_for_thread_at_fork() {
    const pid_t thread = to_be_waited_for.exchange(0);
    if (thread == 0) return;
    is_at_fork = true;
    wait_until_asleep(thread);
}

// Before those of the library, which are then through when a fork comes to this one.
[[gnu::constructor(101)]] void register_handlers() {
    ::pthread_atfork([] { wait_for_thread_at_fork(); },
                     [] {
                         ++forks;
                         forks.notify_all();
                     },
                     [] { is_to_wait_for_fork = false; });
}

}  // namespace

// In place of the C library's: who asks while it is to wait stays inside until this process has forked, as a thread may
// that has lost its CPU there.
extern "C" int sched_getaffinity(pid_t pid, std::size_t size, cpu_set_t* set) noexcept {
    if (is_to_wait_for_fork.exchange(false)) wait_for_fork();
    return ::syscall(SYS_sched_getaffinity, pid, size, set) < 0 ? -1 : 0;
}

namespace {

int twice(int x) { return 2 * x; }
int fail(int x) { throw std::invalid_argument(std::to_string(x)); }

/// In a process of its own, as each test is under ctest: what is made once may not have been made before.
class fork_of_busy_program : public testing::Test {
protected:
    void SetUp() override {
        if (is_under_thread_sanitizer) GTEST_SKIP() << "it knows no threads in a copy of a process that had several";
    }
};

TEST_F(fork_of_busy_program, does_not_leave_a_worker_waiting_for_a_thread_that_was_counting_cpus) {
    process_pool_executor pool({.max_workers = 1, .start_method = start_method::fork});
    is_to_wait_for_fork = true;
    std::atomic<bool> is_over = false;
    const std::jthread counts([&] {
        has_one_cpu();
        is_over = true;
    });
    while (!is_inside && !is_over) std::this_thread::yield();
    if (is_over) GTEST_SKIP() << "they were counted before";
    EXPECT_EQ(pool.submit(twice, 21).result(20s), 42);
}

struct only_here {
    int operator()() const { return 7; }
};
int nested() {
    process_pool_executor pool({.max_workers = 1, .start_method = start_method::fork});
    return pool.submit(only_here{}).result(5s);
}

// What it makes when it submits its first call of a kind.
TEST_F(fork_of_busy_program, does_not_leave_a_worker_waiting_for_a_thread_that_was_at_its_first_call) {
    process_pool_executor pool({.max_workers = 1, .start_method = start_method::fork});
    const std::jthread submits([] {
        to_be_waited_for = ::gettid();
        to_be_waited_for.notify_all();
        while (!is_at_fork) std::this_thread::yield();  // awake: it is to go to sleep behind that
        EXPECT_EQ(nested(), 7);
    });
    to_be_waited_for.wait(0);
    EXPECT_EQ(pool.submit(nested).result(20s), 7);
}

TEST_F(fork_of_busy_program, does_not_leave_a_worker_waiting_for_a_thread_that_was_at_an_exception) {
    if (is_under_address_sanitizer) GTEST_SKIP() << "its own locks are left behind in a fork";
    std::vector<std::jthread> busy;
    for (int i = 0; i < 2; ++i)
        busy.emplace_back([](const std::stop_token& stop) {
            const auto error = std::make_exception_ptr(std::invalid_argument("again"));
            while (!stop.stop_requested()) {
                encoder out;
                encode_exception(out, error);
                decoder in(out.buffer().bytes());
                decode_exception(in);
            }
        });
    process_pool_executor pool({.max_workers = 2, .start_method = start_method::fork, .max_tasks_per_child = 1});
    std::vector<future<int>> calls;
    for (int i = 0; i < 200; ++i) calls.push_back(pool.submit(fail, i));
    for (auto& each : calls) EXPECT_THROW(each.result(20s), std::invalid_argument);
}

}  // namespace
