// What compilers have got wrong in coroutines. Each test is a shape that the library or its users write, and would fail
// or be caught by a sanitizer where the bug is.

#include <tercet/asyncio.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using namespace tercet::asyncio;

namespace {

/// Counts its living copies.
class counted {
public:
    explicit counted(int& alive) : alive_(&alive) { ++*alive_; }
    counted(const counted& other) : alive_(other.alive_) { ++*alive_; }
    counted(counted&& other) noexcept : alive_(other.alive_) { ++*alive_; }
    counted& operator=(const counted&) = default;
    ~counted() { --*alive_; }

private:
    int* alive_;
};

coro<std::string> identity(std::string text) {
    co_await sleep(0s);
    co_return text;
}

coro<std::size_t> length_of(const std::string& text) {
    co_await sleep(0s);
    co_return text.size();
}

coro<int> deep(int depth) {
    if (depth == 0) co_return 0;
    const int below = co_await deep(depth - 1);
    co_return below + 1;
}

}  // namespace

TEST(canary, a_temporary_argument_lives_until_the_await_is_over) {
    auto main = []() -> coro<> {
        const std::size_t length = co_await length_of(std::string(100, 'x'));
        EXPECT_EQ(length, 100U);
    };
    run(main());
}

TEST(canary, options_may_be_given_inside_an_awaited_call) {
    auto main = []() -> coro<> {
        const std::string first = co_await create_task(identity("first"));
        EXPECT_EQ(first, "first");
        const std::string second = co_await create_task(identity("second"), {.name = "a name longer than any buffer"});
        EXPECT_EQ(second, "second");
        const std::string third = co_await timeout(1s, identity("a text that is longer than the buffer of a string"));
        EXPECT_EQ(third, "a text that is longer than the buffer of a string");
    };
    run(main());
}

TEST(canary, parameters_are_destroyed_once) {
    int alive = 0;
    auto main = [&]() -> coro<> {
        auto take = [](counted, counted) -> coro<> { co_await sleep(0s); };
        {
            counted local(alive);
            auto work = take(local, std::move(local));
            co_await std::move(work);
        }
        EXPECT_EQ(alive, 0);
    };
    run(main());
    EXPECT_EQ(alive, 0);
}

TEST(canary, parameters_of_a_coroutine_that_never_began_are_destroyed_once) {
    int alive = 0;
    {
        auto take = [](counted) -> coro<> { co_return; };
        const coro<> dropped = take(counted(alive));
    }
    EXPECT_EQ(alive, 0);
}

TEST(canary, a_result_is_moved_not_copied_twice_and_destroyed_once) {
    int alive = 0;
    auto main = [&]() -> coro<> {
        auto make = [&]() -> coro<counted> {
            co_await sleep(0s);
            co_return counted(alive);
        };
        {
            const counted made = co_await make();
            EXPECT_EQ(alive, 1);
        }
        EXPECT_EQ(alive, 0);
    };
    run(main());
}

TEST(canary, an_exception_passes_through_many_frames_and_destroys_their_locals) {
    int alive = 0;
    auto fail = [&](auto& self, int depth) -> coro<> {
        const counted local(alive);
        if (depth == 0) throw std::runtime_error("deep");
        co_await self(self, depth - 1);
    };
    auto main = [&]() -> coro<> {
        try {
            co_await fail(fail, 50);
            ADD_FAILURE();
        } catch (const std::runtime_error& error) {
            EXPECT_STREQ(error.what(), "deep");
        }
        EXPECT_EQ(alive, 0);
    };
    run(main());
}

TEST(canary, a_structured_binding_of_an_await_is_destroyed_once) {
    int alive = 0;
    auto main = [&]() -> coro<> {
        auto make = [&]() -> coro<std::pair<counted, std::string>> {
            co_await sleep(0s);
            co_return std::pair(counted(alive), std::string(50, 'y'));
        };
        {
            auto [value, text] = co_await make();
            static_cast<void>(value);
            EXPECT_EQ(text.size(), 50U);
            EXPECT_EQ(alive, 1);
        }
        EXPECT_EQ(alive, 0);
    };
    run(main());
}

TEST(canary, awaits_in_both_branches_and_in_a_loop_condition) {
    auto main = []() -> coro<> {
        std::string collected;
        for (int i = 0; i < 4; ++i) {
            if (i % 2 == 0) {
                const std::string even = co_await identity("even ");
                collected += even;
            } else {
                const std::string odd = co_await identity("odd ");
                collected += odd;
            }
        }
        EXPECT_EQ(collected, "even odd even odd ");
    };
    run(main());
}

TEST(canary, an_await_in_a_try_block_is_caught_there) {
    auto fail = []() -> coro<int> {
        co_await sleep(0s);
        throw std::logic_error("thrown after a suspension");
    };
    auto main = [&]() -> coro<int> {
        std::optional<int> value;
        try {
            value = co_await fail();
        } catch (const std::logic_error&) {
            value = -1;
        }
        co_return *value;
    };
    EXPECT_EQ(run(main()), -1);
}

TEST(canary, co_return_of_an_await_of_void) {
    auto inner = []() -> coro<> { co_await sleep(0s); };
    auto outer = [&]() -> coro<> { co_return co_await inner(); };
    run(outer());
}

TEST(canary, ten_thousand_frames_deep_unwind_without_the_stack) { EXPECT_EQ(run(deep(10'000)), 10'000); }

TEST(canary, a_million_waits_that_are_ready_do_not_grow_the_stack) {
    auto main = []() -> coro<int> {
        semaphore permits(1);
        int count = 0;
        for (; count < 1'000'000; ++count) {
            co_await permits.acquire();
            permits.release();
        }
        co_return count;
    };
    EXPECT_EQ(run(main()), 1'000'000);
}

TEST(canary, the_line_of_an_await_is_recorded) {
    auto wait = []() -> coro<> { co_await sleep(1h); };
    coro<> work = wait();
    const promise_base& promise = work.promise();
    auto main = [&]() -> coro<> {
        task<> waiting = create_task(std::move(work));
        co_await sleep(0s);
        EXPECT_GT(promise.where().line(), 0U);
        EXPECT_NE(std::string(promise.where().file_name()).find("canaries_test.cpp"), std::string::npos);
        waiting.cancel();
    };
    run(main());
}
