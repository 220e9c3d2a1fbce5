#include <tercet/futures/wait.hpp>

#include <futures/test_promises.hpp>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>

namespace {

using namespace std::chrono_literals;
using namespace tercet;

TEST(wait, returns_when_all_are_done) {
    test_promises given(3);
    std::thread producer([&] {
        for (std::size_t i = 0; i < 3; ++i) given.promises[i].set_result(static_cast<int>(i));
    });
    const auto result = wait(given.futures);
    EXPECT_EQ(result.done.size(), 3U);
    EXPECT_TRUE(result.not_done.empty());
    producer.join();
}

TEST(wait, first_completed_returns_at_the_first) {
    test_promises given(3);
    std::thread producer([&] { given.promises[1].set_result(1); });
    const auto result = wait(given.futures, {.return_when = return_when::first_completed});
    ASSERT_EQ(result.done.size(), 1U);
    EXPECT_EQ(result.done[0], &given.futures[1]);
    EXPECT_EQ(result.not_done.size(), 2U);
    producer.join();
}

TEST(wait, first_exception_returns_at_the_error_not_at_a_success) {
    test_promises given(3);
    given.promises[0].set_result(0);
    EXPECT_EQ(wait(given.futures, {.return_when = return_when::first_exception, .timeout = 5ms}).done.size(), 1U);
    std::thread producer([&] { given.fail(2); });
    const auto result = wait(given.futures, {.return_when = return_when::first_exception});
    EXPECT_EQ(result.done.size(), 2U);
    EXPECT_EQ(result.not_done.size(), 1U);
    producer.join();
    EXPECT_TRUE(given.futures[2].exception() != nullptr);
}

TEST(wait, first_exception_without_one_waits_for_all) {
    test_promises given(2);
    std::thread producer([&] {
        given.promises[0].set_result(0);
        given.promises[1].set_result(0);
    });
    EXPECT_EQ(wait(given.futures, {.return_when = return_when::first_exception}).done.size(), 2U);
    producer.join();
}

TEST(wait, what_is_done_already_ends_it_at_once) {
    test_promises given(3);
    given.promises[1].set_result(1);
    const auto begin = std::chrono::steady_clock::now();
    const auto first = wait(given.futures, {.return_when = return_when::first_completed, .timeout = 20s});
    ASSERT_EQ(first.done.size(), 1U);
    EXPECT_EQ(first.done[0], &given.futures[1]);
    given.fail(2);
    const auto failed = wait(given.futures, {.return_when = return_when::first_exception, .timeout = 20s});
    EXPECT_EQ(failed.done.size(), 2U);
    EXPECT_EQ(failed.not_done.size(), 1U);
    given.promises[0].set_result(0);
    EXPECT_EQ(wait(given.futures, {.timeout = 20s}).done.size(), 3U);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 10s);
    EXPECT_TRUE(given.futures[2].exception() != nullptr);
}

TEST(wait, a_cancellation_counts_as_an_exception) {
    test_promises given(2);
    given.futures[0].cancel();
    EXPECT_EQ(wait(given.futures, {.return_when = return_when::first_exception}).done.size(), 1U);
}

TEST(wait, the_end_of_the_time_is_not_an_error) {
    test_promises given(2);
    given.promises[0].set_result(0);
    const auto result = wait(given.futures, {.timeout = 5ms});
    EXPECT_EQ(result.done.size(), 1U);
    EXPECT_EQ(result.not_done.size(), 1U);
    EXPECT_EQ(wait(given.futures, {.timeout = 0s}).done.size(), 1U);
}

TEST(wait, duplicates_are_folded) {
    test_promises given(1);
    given.promises[0].set_result(0);
    const std::vector<future<int>*> twice{&given.futures[0], &given.futures[0]};
    EXPECT_EQ(wait(twice).done.size(), 1U);
}

TEST(wait, takes_futures_of_different_types_by_their_base) {
    promise<int> number;
    promise<std::string> text;
    auto first = number.get_future();
    auto second = text.get_future();
    number.set_result(1);
    text.set_result("one");
    const std::vector<future_base*> both{&first, &second};
    EXPECT_EQ(wait(both).done.size(), 2U);
}

TEST(wait, nothing_to_wait_for_returns_at_once) {
    std::vector<future<int>> none;
    EXPECT_TRUE(wait(none).done.empty());
}

TEST(wait, no_wake_up_is_missed_while_many_finish) {
    for (int round = 0; round < 300; ++round) {
        test_promises given(20);
        std::thread first([&] {
            for (std::size_t i = 0; i < 10; ++i) given.promises[i].set_result(1);
        });
        std::thread second([&] {
            for (std::size_t i = 10; i < 20; ++i) given.promises[i].set_result(1);
        });
        EXPECT_EQ(wait(given.futures).done.size(), 20U);
        first.join();
        second.join();
    }
}

TEST(wait, repeated_time_outs_leave_nothing_behind_in_the_future) {
    test_promises given(1);
    for (int i = 0; i < 100; ++i) wait(given.futures, {.timeout = 0s});
    given.promises[0].set_result(1);
    EXPECT_EQ(given.futures[0].result(), 1);
}

}  // namespace
