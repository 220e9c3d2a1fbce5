#include <tercet/futures/completion_queue.hpp>

#include <futures/test_promises.hpp>
#include <gtest/gtest.h>

#include <thread>

namespace {

using namespace std::chrono_literals;
using namespace tercet;
using time_point = time_limit::clock::time_point;

std::vector<future_base*> bases(test_promises& given) {
    std::vector<future_base*> all;
    for (auto& each : given.futures) all.push_back(&each);
    return all;
}

TEST(completion_queue, pops_every_index_once_then_nothing) {
    test_promises given(2);
    completion_queue queue(bases(given), return_when::first_completed);
    EXPECT_EQ(queue.pop(time_point{}), std::nullopt);
    given.promises[1].set_result(1);
    EXPECT_EQ(queue.pop(time_point{}), 1U);
    given.promises[0].set_result(0);
    EXPECT_EQ(queue.pop(time_point::max()), 0U);
    EXPECT_EQ(queue.unpopped(), 0U);
    EXPECT_EQ(queue.pop(time_point::max()), std::nullopt);
}

TEST(completion_queue, keeps_the_order_of_futures_that_finish_between_two_pops) {
    test_promises given(3);
    completion_queue queue(bases(given), return_when::first_completed);
    for (const std::size_t index : {2U, 0U, 1U}) given.promises[index].set_result(0);
    EXPECT_EQ(queue.pop(time_point{}), 2U);
    EXPECT_EQ(queue.pop(time_point{}), 0U);
    EXPECT_EQ(queue.pop(time_point{}), 1U);
}

TEST(completion_queue, may_go_while_other_threads_finish_its_futures) {
    for (int round = 0; round < 2000; ++round) {
        test_promises given(2);
        std::thread first([&] { given.promises[0].set_result(0); });
        std::thread second([&] { given.promises[1].set_result(0); });
        { completion_queue queue(bases(given), return_when::all_completed); }
        first.join();
        second.join();
    }
}

}  // namespace
