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

#include "sanitizers.hpp"

namespace {

using namespace std::chrono_literals;
using namespace tercet;
using namespace tercet::multiprocessing;

std::atomic<bool> is_to_wait_for_fork = false;
std::atomic<bool> has_waited = false;
std::atomic<bool> has_forked = false;

}  // namespace

// In place of the C library's: the first thread that asks while it is to wait stays inside until this process has
// forked, as one may that has lost its CPU there.
extern "C" int sched_getaffinity(pid_t pid, std::size_t size, cpu_set_t* set) noexcept {
    const auto deadline = std::chrono::steady_clock::now() + 5s;
    if (is_to_wait_for_fork.exchange(false)) {
        while (!has_forked && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(1ms);
        has_waited = has_forked.load();
    }
    return ::syscall(SYS_sched_getaffinity, pid, size, set) < 0 ? -1 : 0;
}

namespace {

int twice(int x) { return 2 * x; }
int fail(int x) { throw std::invalid_argument(std::to_string(x)); }

// In a process of its own, as it is under ctest: what is made once may not have been made before.
TEST(fork_of_busy_program, does_not_leave_a_worker_waiting_for_what_another_thread_was_making) {
    if (is_under_thread_sanitizer) GTEST_SKIP() << "it knows no threads in a copy of a process that had several";
    ::pthread_atfork(
        nullptr, [] { has_forked = true; }, [] { is_to_wait_for_fork = false; });
    process_pool_executor pool({.max_workers = 1, .start_method = start_method::fork});
    is_to_wait_for_fork = true;
    EXPECT_EQ(pool.submit(twice, 21).result(20s), 42);
    EXPECT_TRUE(has_waited);
}

TEST(fork_of_busy_program, does_not_leave_a_worker_waiting_for_a_thread_that_was_at_an_exception) {
    if (is_under_thread_sanitizer || is_under_address_sanitizer)
        GTEST_SKIP() << "its own locks are left behind in a fork";
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
