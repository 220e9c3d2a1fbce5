// A program of its own, since it replaces the clock of the process: that of the world is set by whoever administers the
// machine; the monotonic one goes on while a process is stopped, and only ever forward.

#include <tercet/asyncio.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <ctime>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using testing::ElementsAre;

namespace {

std::atomic<long> world_jump = 0;  // in seconds
std::atomic<long> monotonic_jump = 0;

/// The time that really passes.
std::chrono::nanoseconds real_time() {
    timespec now{};
    ::syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

coro<> note(std::vector<int>& order, int number, std::chrono::nanoseconds after) {
    co_await sleep(after);
    order.push_back(number);
}

}  // namespace

extern "C" int clock_gettime(clockid_t clock, timespec* now) noexcept {
    const auto result = static_cast<int>(::syscall(SYS_clock_gettime, clock, now));
    if (result == 0 && clock == CLOCK_REALTIME) now->tv_sec += world_jump;
    if (result == 0 && clock == CLOCK_MONOTONIC) now->tv_sec += monotonic_jump;
    return result;
}

TEST(clock_jump, of_the_world_neither_hastens_nor_delays_a_timer) {
    for (const long jump : {+86'400L, -86'400L}) {
        const auto world_before = std::chrono::system_clock::now();
        std::vector<int> order;
        auto main = [&]() -> coro<> {
            task<> early = create_task(note(order, 1, 20ms));
            task<> late = create_task(note(order, 2, 24h));
            bool is_late = false;
            const auto begun = real_time();
            world_jump += jump;
            try {
                co_await timeout(40ms, note(order, 3, 1h));
            } catch (const tercet::timeout_error&) {
                is_late = true;
            }
            EXPECT_TRUE(is_late);
            EXPECT_GE(real_time() - begun, 40ms);
            EXPECT_LT(real_time() - begun, 30s);
            EXPECT_TRUE(early.done());
            EXPECT_FALSE(late.done());
        };
        run(main());
        EXPECT_THAT(order, ElementsAre(1));
        EXPECT_GT(std::chrono::abs(std::chrono::system_clock::now() - world_before), 23h) << "the clock did not jump";
    }
}

TEST(clock_jump, of_the_loops_own_clock_makes_due_what_lies_before_it_in_the_order_of_time) {
    std::vector<int> order;
    auto main = [&]() -> coro<> {
        task<> third = create_task(note(order, 3, 50min));
        task<> first = create_task(note(order, 1, 10min));
        task<> second = create_task(note(order, 2, 10min));
        task<> fourth = create_task(note(order, 4, 3h));
        co_await sleep(1ms);
        const auto begun = real_time();
        // The loop sleeps until something is due by the clock of the kernel: it sees the jump at its next turn.
        get_running_loop().call_later(1ms, [] { monotonic_jump += 3600; });
        co_await third;
        EXPECT_THAT(order, ElementsAre(1, 2, 3));
        EXPECT_LT(real_time() - begun, 60s);
        EXPECT_FALSE(fourth.done());
        co_await sleep(1ms);  // and it goes on
        monotonic_jump += 3 * 3600;
        co_await fourth;
    };
    run(main());
    EXPECT_THAT(order, ElementsAre(1, 2, 3, 4));
}
