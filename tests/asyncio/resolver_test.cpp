#include <tercet/asyncio.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "asyncio/addresses_of.hpp"
#include "asyncio/fake_names.hpp"

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using testing::AnyOf;
using testing::HasSubstr;

namespace {

constexpr int most_threads = 4;

coro<std::string> first_address(std::string host) {
    const std::vector<socket_address> found = co_await addresses_of(std::move(host), 80, false);
    co_return found.front().to_string();
}

coro<> wait_for_lookups(int count) {
    while (slow_names::waiting() < count) co_await sleep(1ms);
}

}  // namespace

TEST(resolver, a_few_threads_look_up_and_the_loop_goes_on) {
    auto main = []() -> coro<> {
        slow_names names;
        std::vector<task<std::string>> lookups;
        for (int i = 0; i < 2 * most_threads; ++i)
            lookups.push_back(create_task(first_address("slow" + std::to_string(i) + ".test")));
        co_await wait_for_lookups(most_threads);
        const std::string numeric = co_await first_address("127.0.0.1");
        EXPECT_EQ(numeric, "127.0.0.1:80");
        EXPECT_EQ(slow_names::asked(), most_threads);
        names.let_go();
        for (task<std::string>& each : lookups) {
            const std::string found = co_await std::move(each);
            EXPECT_EQ(found, "127.0.0.1:80");
        }
        EXPECT_EQ(slow_names::asked(), 2 * most_threads);
    };
    run(main());
}

TEST(resolver, a_cancelled_wait_ends_at_once_and_what_has_not_begun_never_does) {
    auto main = []() -> coro<> {
        slow_names names;
        std::vector<task<std::string>> lookups;
        for (int i = 0; i < most_threads + 2; ++i) lookups.push_back(create_task(first_address("slow.test")));
        co_await wait_for_lookups(most_threads);
        for (const task<std::string>& each : lookups) each.cancel();
        int cancelled = 0;
        for (const task<std::string>& each : lookups) {
            try {
                co_await each;
            } catch (const tercet::cancelled_error&) {
                ++cancelled;
            }
        }
        EXPECT_EQ(cancelled, most_threads + 2);
        names.let_go();
        const std::string later = co_await first_address("slow.test");
        EXPECT_EQ(later, "127.0.0.1:80");
        EXPECT_EQ(slow_names::asked(), most_threads + 1);
    };
    run(main());
}

TEST(resolver, a_loop_that_ends_does_not_wait_for_a_lookup) {
    const slow_names names;
    auto main = []() -> coro<> {
        task<std::string> never_awaited = create_task(first_address("slow.test"));
        co_await wait_for_lookups(1);
    };
    run(main());
    EXPECT_EQ(slow_names::waiting(), 1);
}

TEST(resolver, errors_say_what_was_looked_up_and_what_the_resolver_said) {
    auto main = []() -> coro<> { co_await first_address("nosuch.invalid"); };
    try {
        run(main());
        ADD_FAILURE();
    } catch (const std::system_error& error) {
        EXPECT_STREQ(error.code().category().name(), "resolver");
        EXPECT_THAT(error.what(), AnyOf(HasSubstr("resolve nosuch.invalid: Name or service not known"),
                                        HasSubstr("resolve nosuch.invalid: Temporary failure in name resolution")));
    }
}

TEST(resolver, resolve_gives_the_addresses_of_a_name_by_family) {
    auto main = []() -> coro<> {
        const std::vector<socket_address> both = co_await resolve("both.test", 443);
        EXPECT_EQ(both.size(), 2U);
        for (const socket_address& each : both) EXPECT_EQ(each.port(), 443);
        const std::vector<socket_address> old = co_await resolve("both.test", 443, AF_INET);
        EXPECT_EQ(old, both);
        const std::vector<socket_address> numeric = co_await resolve("::1");
        EXPECT_EQ(numeric.at(0).to_string(), "[::1]:0");
        try {
            co_await resolve("both.test", 443, AF_INET6);
            ADD_FAILURE();
        } catch (const std::system_error& error) {
            EXPECT_STREQ(error.what(), "resolve both.test: No address associated with hostname");
        }
        try {
            co_await resolve("both.test", 443, AF_UNIX);
            ADD_FAILURE();
        } catch (const std::invalid_argument& error) {
            EXPECT_THAT(error.what(), HasSubstr("AF_INET6"));
        }
    };
    run(main());
}
