#include <tercet/futures/as_completed.hpp>
#include <tercet/futures/blocking_ban.hpp>
#include <tercet/futures/future.hpp>
#include <tercet/futures/wait.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using testing::HasSubstr;

TEST(blocking_ban, what_would_block_throws_and_says_what_to_write) {
    tercet::promise<int> source;
    std::vector<tercet::future<int>> futures;
    futures.push_back(source.get_future());
    {
        const tercet::blocking_ban ban("write something else");
        try {
            static_cast<void>(futures[0].result());
            FAIL();
        } catch (const tercet::invalid_state_error& error) {
            EXPECT_THAT(error.what(), HasSubstr("write something else"));
        }
        EXPECT_THROW(futures[0].wait(1s), tercet::invalid_state_error);
        EXPECT_THROW(tercet::wait(futures), tercet::invalid_state_error);
        EXPECT_THROW(tercet::as_completed(futures).begin(), tercet::invalid_state_error);
    }
    source.set_result(1);
    EXPECT_EQ(futures[0].result(), 1);
}

TEST(blocking_ban, what_need_not_block_is_allowed) {
    tercet::promise<int> pending_source;
    tercet::promise<int> done_source;
    done_source.set_result(2);
    std::vector<tercet::future<int>> futures;
    futures.push_back(pending_source.get_future());
    futures.push_back(done_source.get_future());
    const tercet::blocking_ban ban("no");
    EXPECT_FALSE(futures[0].wait(0s));
    EXPECT_EQ(futures[1].result(), 2);
    EXPECT_EQ(tercet::wait(futures, {.timeout = 0s}).done.size(), 1U);
    EXPECT_EQ(&*tercet::as_completed(futures).begin(), &futures[1]);
}

TEST(blocking_ban, is_one_of_its_thread_and_of_its_time) {
    tercet::promise<int> source;
    tercet::future<int> result = source.get_future();
    const tercet::blocking_ban ban("outer");
    { const tercet::blocking_ban inner("inner"); }
    EXPECT_THROW(tercet::blocking_ban::check("call"), tercet::invalid_state_error);
    std::thread([] { EXPECT_NO_THROW(tercet::blocking_ban::check("call")); }).join();
}
