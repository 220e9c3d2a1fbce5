#include <tercet/futures/errors.hpp>
#include <tercet/multiprocessing/joinable_queue.hpp>
#include <tercet/multiprocessing/process.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <stdexcept>

namespace tercet::multiprocessing {
namespace {

using namespace std::chrono_literals;

TEST(joinable_queue, join_waits_until_every_item_was_dealt_with) {
    joinable_queue<int> items(100);
    EXPECT_TRUE(items.join(0s));
    EXPECT_THROW(items.task_done(), std::invalid_argument);
    for (int i = 0; i < 10; ++i) items.put(i);
    EXPECT_FALSE(items.join(5ms));
    process worker(
        [](joinable_queue<int> in) {
            for (int i = 0; i < 10; ++i) {
                in.get();
                in.task_done();
            }
        },
        items);
    worker.start();
    EXPECT_TRUE(items.join(30s));
    worker.join();
    EXPECT_TRUE(items.empty());
}

}  // namespace
}  // namespace tercet::multiprocessing
