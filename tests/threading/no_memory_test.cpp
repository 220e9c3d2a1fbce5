// Each allocation of a small program fails in turn: it ends with std::bad_alloc, or does what it was to do, and the
// next run works.

#include <tercet/futures.hpp>
#include <tercet/threading.hpp>

#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "failing_memory.hpp"

namespace {

using namespace std::chrono_literals;
using namespace tercet;
using namespace tercet::threading;
using failing_memory::require;

std::atomic<int> posted{0};  // by calls that nobody waits for

int square(int x) { return x * x; }
void refuse() { throw std::out_of_range("refused"); }

void use(thread_pool_executor& pool) {
    auto one = pool.submit(&square, 7);
    auto named = pool.submit(submit_options{.timeout = 10s, .name = "named"}, &square, 3);
    auto refused = pool.submit(&refuse);
    require(one.result(10s) == 49 && named.result(10s) == 9, "a wrong square");
    bool is_refused = false;
    try {
        refused.result(10s);
    } catch (const std::out_of_range&) {
        is_refused = true;
    }
    require(is_refused, "no error");
    std::vector<int> numbers(100);
    std::iota(numbers.begin(), numbers.end(), 0);
    int sum = 0;
    for (const int each : pool.map(&square, numbers)) sum += each;
    require(sum == 328'350, "a wrong sum");
    std::atomic<int> counted = 0;
    parallel_for(pool, 0, 1000, [&counted](std::size_t) { ++counted; });
    require(counted == 1000, "not every index, or some twice");
    std::vector<future<int>> all;
    for (int i = 0; i < 10; ++i) all.push_back(pool.submit(&square, i));
    sum = 0;
    for (future<int>& each : as_completed(all)) sum += each.result();
    require(sum == 285, "a wrong sum");
    for (int i = 0; i < 10; ++i) pool.post([] { ++posted; });
}

void leave_a_descriptor_open_when_one_allocation_fails() {
    const int descriptor = ::dup(STDERR_FILENO);
    static std::unique_ptr<int> made;  // an allocation that compilers do not leave out
    made = std::make_unique<int>(1);
    ::close(descriptor);
}

TEST(no_memory, what_one_failure_leaves_open_is_found) {
    EXPECT_FATAL_FAILURE(failing_memory::at_each_allocation(&leave_a_descriptor_open_when_one_allocation_fails),
                         "after 0 allocations");
}

TEST(no_memory, a_pool_that_is_used) {
    thread_pool_executor pool(2);
    failing_memory::at_each_allocation([&] { use(pool); });
}

TEST(no_memory, a_pool_that_begins_and_ends) {
    failing_memory::at_each_allocation([&] {
        thread_pool_executor pool(2);
        require(pool.submit(&square, 7).result(10s) == 49, "a wrong square");
    });
}

TEST(no_memory, a_pool_whose_initializer_fails) {
    failing_memory::at_each_allocation([&] {
        thread_pool_executor pool({.max_workers = 1, .initializer = &refuse});
        bool is_broken = false;
        try {
            pool.submit(&square, 7).result(10s);
        } catch (const broken_thread_pool&) {
            is_broken = true;
        }
        require(is_broken, "a call was made by a thread without its initializer");
    });
}

TEST(no_memory, threads_queues_and_timers) {
    failing_memory::at_each_allocation([&] {
        queue<std::string> texts(10);
        thread writer([&texts] {
            try {
                texts.put(std::string(100, 'x'));
            } catch (...) {
                texts.shutdown();
                throw;
            }
        });
        writer.start();
        bool is_there = false;
        try {
            is_there = texts.get(10s) == std::string(100, 'x');
        } catch (...) {
            texts.shutdown();
            throw;
        }
        writer.join();
        require(is_there, "not what was put");
        event fired;
        timer soon(1ms, [&fired] { fired.set(); });
        soon.start();
        require(fired.wait(10s), "the timer did not fire");
        soon.join();
        local<std::vector<int>> mine;
        mine->push_back(1);
    });
}

}  // namespace
