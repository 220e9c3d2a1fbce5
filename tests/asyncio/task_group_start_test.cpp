#include <tercet/asyncio.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "asyncio/group_tasks.hpp"
#include "asyncio/unread_errors.hpp"

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using namespace group_tasks;
using tercet::cancelled_error;
using tercet::exception_group;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

namespace {

coro<> serve(task_status<int> status, event& stop, int port) {
    co_await turns(2);
    status.started(port + 1);
    co_await stop.wait();
}

}  // namespace

TEST(task_group, start_gives_the_value_with_which_the_task_has_started) {
    auto main = []() -> coro<int> {
        event stop;
        int port = 0;
        auto body = [&](task_group& group) -> coro<> {
            port = co_await group.start<int>(serve, std::ref(stop), 80);
            EXPECT_EQ(group.size(), 1U);
            auto without_value = [&](task_status<> status) -> coro<> {
                status.started();
                co_await stop.wait();
            };
            co_await group.start(without_value);
            EXPECT_EQ(group.size(), 2U);
            stop.set();
        };
        co_await with_task_group(body);
        co_return port;
    };
    EXPECT_EQ(run(main()), 81);
}

TEST(task_group, start_throws_what_the_task_throws_before_and_the_group_goes_on) {
    auto main = []() -> coro<> {
        auto body = [](task_group& group) -> coro<> {
            auto crashes = [](task_status<int>) -> coro<> {
                co_await turns(1);
                throw std::runtime_error("port in use");
            };
            try {
                co_await group.start<int>(crashes);
                ADD_FAILURE();
            } catch (const std::runtime_error& error) {
                EXPECT_STREQ(error.what(), "port in use");
            }
            auto forgets = [](task_status<int>) -> coro<> { co_return; };
            try {
                co_await group.start<int>(forgets);
                ADD_FAILURE();
            } catch (const tercet::invalid_state_error& error) {
                EXPECT_THAT(error.what(), HasSubstr("started()"));
            }
            co_await sleep(0s);
        };
        co_await with_task_group(body);
    };
    run(main());
}

TEST(task_group, an_error_after_the_start_is_one_of_the_group) {
    auto main = []() -> coro<> {
        auto body = [](task_group& group) -> coro<> {
            auto crashes_later = [](task_status<> status) -> coro<> {
                status.started();
                bool is_refused = false;
                try {
                    status.started();
                } catch (const tercet::invalid_state_error&) {
                    is_refused = true;
                }
                EXPECT_TRUE(is_refused);
                co_await turns(2);
                throw std::runtime_error("later");
            };
            co_await group.start(crashes_later);
            co_await sleep(1h);
        };
        const auto errors = co_await errors_of(with_task_group(body));
        EXPECT_THAT(errors, ElementsAre(HasSubstr("later")));
    };
    run(main());
}

TEST(task_group, a_cancelled_start_ends_the_task_and_leaves_the_group_alone) {
    std::vector<std::string> log;
    auto main = [&]() -> coro<> {
        auto body = [&](task_group& group) -> coro<> {
            auto never_starts = [&](task_status<>) -> coro<> { co_await sleep_for_ever(log); };
            auto starter = [&]() -> coro<> { co_await group.start(never_starts); };
            const task<> starting = create_task(starter());
            co_await turns(4);
            starting.cancel("too slow");
            try {
                co_await starting;
                ADD_FAILURE();
            } catch (const cancelled_error& error) {
                EXPECT_STREQ(error.what(), "too slow");
            }
            EXPECT_EQ(group.size(), 0U);
            co_await sleep(0s);
        };
        co_await with_task_group(body);
    };
    run(main());
    EXPECT_THAT(log, ElementsAre("too slow"));
}

TEST(task_group, a_start_in_a_group_that_fails_meanwhile_is_cancelled) {
    std::vector<std::string> log;
    auto main = [&]() -> coro<> {
        auto body = [&](task_group& group) -> coro<> {
            auto never_starts = [&](task_status<>) -> coro<> { co_await sleep_for_ever(log); };
            group.create_task(fail_after(3, "sibling"));
            co_await group.start(never_starts);
            ADD_FAILURE();
        };
        const auto errors = co_await errors_of(with_task_group(body));
        EXPECT_THAT(errors, ElementsAre(HasSubstr("sibling")));
    };
    run(main());
    EXPECT_EQ(log.size(), 1U);
}
