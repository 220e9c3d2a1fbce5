#include <tercet/futures/as_completed.hpp>

#include <futures/test_promises.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <thread>

namespace {

using namespace std::chrono_literals;
using namespace tercet;

TEST(as_completed, yields_in_the_order_of_completion_done_ones_first) {
    test_promises given(4);
    given.promises[2].set_result(2);
    std::vector<int> order;
    for (auto& each : as_completed(given.futures)) {
        order.push_back(each.result());
        if (order.size() == 1) given.promises[3].set_result(3);
        if (order.size() == 2) given.promises[0].set_result(0);
        if (order.size() == 3) given.promises[1].set_result(1);
    }
    EXPECT_THAT(order, testing::ElementsAre(2, 3, 0, 1));
}

TEST(as_completed, yields_errors_too) {
    test_promises given(1);
    given.fail(0);
    for (auto& each : as_completed(given.futures)) EXPECT_THROW(each.result(), std::runtime_error);
}

TEST(as_completed, a_zero_limit_yields_what_is_done_then_throws_the_counts) {
    test_promises given(3);
    given.promises[1].set_result(1);
    int seen = 0;
    try {
        for (auto& each : as_completed(given.futures, 0s)) seen += each.result();
        FAIL() << "two futures were never done";
    } catch (const timeout_error& error) {
        EXPECT_STREQ(error.what(), "as_completed: 2 (of 3) futures unfinished");
    }
    EXPECT_EQ(seen, 1);
}

TEST(as_completed, the_limit_counts_from_the_call) {
    test_promises given(2);
    given.promises[0].set_result(1);
    auto walk = as_completed(given.futures, 20ms);
    const auto until = std::chrono::steady_clock::now() + 20ms;
    while (std::chrono::steady_clock::now() < until) {
    }
    auto at = walk.begin();
    EXPECT_EQ((*at).result(), 1);
    const auto start = std::chrono::steady_clock::now();
    EXPECT_THROW(++at, timeout_error);
    EXPECT_LT(std::chrono::steady_clock::now() - start, 20ms);
}

TEST(as_completed, yields_a_future_that_stands_there_twice_once) {
    test_promises given(1);
    given.promises[0].set_result(0);
    std::vector<future<int>*> twice{&given.futures[0], &given.futures[0]};
    int seen = 0;
    for (auto& each : as_completed(twice)) seen += each.done() ? 1 : 0;
    EXPECT_EQ(seen, 1);
}

TEST(as_completed, leaving_early_leaves_the_futures_as_they_were) {
    test_promises given(3);
    given.promises[0].set_result(0);
    for (auto& each : as_completed(given.futures)) {
        EXPECT_EQ(each.result(), 0);
        break;
    }
    given.promises[1].set_result(1);
    given.promises[2].set_result(2);
    EXPECT_EQ(given.futures[2].result(), 2);
}

TEST(as_completed, leaving_while_futures_finish_is_safe) {
    for (int round = 0; round < 1000; ++round) {
        test_promises given(4);
        std::thread producer([&] {
            for (auto& each : given.promises) each.set_result(round);
        });
        for (auto& each : as_completed(given.futures)) {
            EXPECT_EQ(each.result(), round);
            break;
        }
        producer.join();
    }
}

TEST(as_completed, a_future_may_be_moved_away_as_it_is_yielded) {
    test_promises given(2);
    given.promises[1].set_result(1);
    given.promises[0].set_result(0);
    given.promises.clear();
    int seen = 0;
    for (auto& each : as_completed(given.futures)) {
        const future<int> mine = std::move(each);
        seen += mine.done() ? 1 : 0;
    }
    EXPECT_EQ(seen, 2);
}

TEST(as_completed, keeps_nothing_of_a_future_that_it_has_handed_out) {
    struct watched {
        std::shared_ptr<int> value;
    };
    std::vector<promise<watched>> given(3);
    std::vector<future<watched>> all;
    for (auto& each : given) all.push_back(each.get_future());
    const auto kept = std::make_shared<int>(1);
    for (auto& each : given) each.set_result(watched{kept});
    given.clear();
    long alive = 4;
    for (auto& each : as_completed(all)) {
        EXPECT_EQ(kept.use_count(), alive);
        each = future<watched>();
        EXPECT_EQ(kept.use_count(), --alive);
    }
    EXPECT_EQ(alive, 1);
}

TEST(as_completed, keeps_nothing_of_futures_that_are_done_while_it_runs) {
    promise<std::shared_ptr<int>> late;
    promise<std::shared_ptr<int>> later;
    std::vector<future<std::shared_ptr<int>>> all;
    all.push_back(late.get_future());
    all.push_back(later.get_future());
    auto value = std::make_shared<int>(1);
    const std::weak_ptr<int> alive = value;
    auto done = as_completed(all);
    late.set_result(std::move(value));
    late = {};
    auto at = done.begin();
    *at = {};
    EXPECT_TRUE(alive.expired());
    later.set_result(nullptr);
    EXPECT_NE(++at, done.end());
}

}  // namespace
