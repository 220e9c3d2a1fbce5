#include <tercet/futures/sequential_executor.hpp>

#include <gtest/gtest.h>

#include <stdexcept>
#include <thread>

namespace {

using namespace tercet;

static_assert(executor<sequential_executor>);

TEST(sequential_executor, runs_on_the_calling_thread_inside_submit) {
    sequential_executor pool;
    auto result = pool.submit([] { return std::this_thread::get_id(); });
    EXPECT_TRUE(result.done());
    EXPECT_EQ(result.result(), std::this_thread::get_id());
}

TEST(sequential_executor, an_exception_goes_to_the_future) {
    sequential_executor pool;
    auto result = pool.submit([]() -> int { throw std::runtime_error("failed"); });
    EXPECT_THROW(result.result(), std::runtime_error);
}

TEST(sequential_executor, refuses_work_after_shutdown) {
    sequential_executor pool;
    pool.shutdown();
    EXPECT_THROW(pool.submit([] {}), executor_shutdown);
}

}  // namespace
