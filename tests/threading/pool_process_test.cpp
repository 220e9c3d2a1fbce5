// A pool when its process forks or ends.

#include <tercet/threading/thread.hpp>
#include <tercet/threading/thread_pool_executor.hpp>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <latch>
#include <memory>

#include "gate.hpp"

namespace {

using namespace tercet;
using tercet::threading::gate;
using tercet::threading::thread_pool_executor;

class pool_process : public testing::Test {
protected:
    pool_process() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(pool_process, in_a_forked_child_submit_is_refused_and_the_pool_can_go) {
    auto pool = std::make_unique<thread_pool_executor>(2);
    pool->submit([] {}).result();
    const pid_t child = ::fork();
    if (child == 0) {
        ::alarm(20);
        int wrong = 0;
        try {
            pool->post([] {});
            wrong |= 1;
        } catch (const threading::broken_thread_pool&) {
        }
        try {
            static_cast<void>(pool->submit({.name = "late"}, [] {}));
            wrong |= 2;
        } catch (const threading::broken_thread_pool&) {
        }
        if (pool->workers() != 0) wrong |= 4;
        pool->shutdown();
        pool.reset();
        ::_exit(wrong);
    }
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(pool->submit([] { return 1; }).result(), 1);
}

void refuses_at_exit() {
    static thread_pool_executor* pool = nullptr;
    std::atexit([] {  // runs after the threads were asked to leave: it was registered before them
        try {
            pool->post([] {});
        } catch (const executor_shutdown&) {
            ::_exit(7);
        }
    });
    pool = new thread_pool_executor(1);
    pool->submit([] {}).result();
    std::exit(1);
}

TEST_F(pool_process, submit_from_an_exit_hook_is_refused) {
    EXPECT_EXIT(refuses_at_exit(), testing::ExitedWithCode(7), "");
}

void ends_with_work() {
    static gate door;
    auto* const pool = new thread_pool_executor(2);
    pool->post([] {
        door.pass();
        std::fputs("the work was done", stderr);
    });
    std::atexit([] { door.open(); });
    std::exit(3);
}

TEST_F(pool_process, its_end_waits_for_the_work_of_a_pool_that_is_never_destroyed) {
    EXPECT_EXIT(ends_with_work(), testing::ExitedWithCode(3), "the work was done");
}

void ends_on_a_thread_of_the_pool() {
    auto* const pool = new thread_pool_executor(3);
    std::latch all(3);
    for (int i = 0; i < 3; ++i) pool->post([&] { all.arrive_and_wait(); });
    all.wait();
    pool->submit([] { std::exit(4); }).wait();
}

TEST_F(pool_process, a_call_may_end_it) { EXPECT_EXIT(ends_on_a_thread_of_the_pool(), testing::ExitedWithCode(4), ""); }

}  // namespace
