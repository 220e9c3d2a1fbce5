#include <tercet/asyncio.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>

using namespace std::chrono_literals;
using namespace tercet::asyncio;

namespace {

coro<int> answer() { co_return 42; }

coro<int> twice(coro<int> inner) {
    const int value = co_await std::move(inner);
    co_return 2 * value;
}

coro<> fail() {
    throw std::runtime_error("broken");
    co_return;
}

}  // namespace

TEST(coro, returns_what_the_coroutine_returns) { EXPECT_EQ(run(twice(answer())), 84); }

TEST(coro, throws_what_the_coroutine_throws) { EXPECT_THROW(run(fail()), std::runtime_error); }

TEST(coro, does_not_begin_before_it_is_awaited) {
    bool has_begun = false;
    auto work = [&]() -> coro<> {
        has_begun = true;
        co_return;
    };
    {
        const coro<> dropped = work();
        EXPECT_FALSE(has_begun);
    }
    EXPECT_FALSE(has_begun);
    run(work());
    EXPECT_TRUE(has_begun);
}

TEST(coro, awaited_twice_or_moved_from_is_an_error) {
    auto main = []() -> coro<> {
        coro<int> work = answer();
        const int value = co_await std::move(work);
        EXPECT_EQ(value, 42);
        for (int i = 0; i < 2; ++i) {
            try {
                co_await std::move(work);
                ADD_FAILURE();
            } catch (const tercet::invalid_state_error&) {
            }
            const coro<int> taken = std::move(work);
        }
    };
    run(main());
}

TEST(coro, moves_a_result_that_cannot_be_copied) {
    auto make = []() -> coro<std::unique_ptr<int>> { co_return std::make_unique<int>(7); };
    auto main = [&]() -> coro<int> {
        const auto made = co_await make();
        co_return *made;
    };
    EXPECT_EQ(run(main()), 7);
}

TEST(coro, returns_a_reference) {
    int value = 1;
    auto refer = [&]() -> coro<int&> { co_return value; };
    auto main = [&]() -> coro<> {
        int& same = co_await refer();
        same = 2;
    };
    run(main());
    EXPECT_EQ(value, 2);
}

TEST(coro, a_million_ready_awaits_do_not_grow_the_stack) {
    auto main = []() -> coro<long> {
        long sum = 0;
        for (int i = 0; i < 1'000'000; ++i) {
            const int value = co_await answer();
            sum += value;
        }
        co_return sum;
    };
    EXPECT_EQ(run(main()), 42'000'000);
}

TEST(coro, gathers_and_sleeps) {
    auto main = []() -> coro<int> {
        auto t = create_task(twice(answer()));
        co_await sleep(1ms);
        auto [a, b] = co_await gather(answer(), twice(answer()));
        const int c = co_await std::move(t);
        const int d = co_await timeout(1s, answer());
        co_return a + b + c + d;
    };
    EXPECT_EQ(run(main()), 42 + 84 + 84 + 42);
}
