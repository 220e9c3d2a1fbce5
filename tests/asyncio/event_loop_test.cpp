#include <tercet/asyncio.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <memory>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <vector>

#include "asyncio/open_descriptors.hpp"
#include "asyncio/runs_on.hpp"
#include "asyncio/stream_pair.hpp"
#include "asyncio/unread_errors.hpp"
#include "sanitizers.hpp"

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

std::chrono::nanoseconds cpu_of_this_thread() {
    timespec used{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

/// A pair of connected sockets that do not block.
struct socket_pair {
    socket_pair() { EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()), 0); }
    ~socket_pair() {
        for (const int end : ends)
            if (end >= 0) ::close(end);
    }
    std::array<int, 2> ends{-1, -1};
};

/// How many tasks are many: with a step for each pair of them, a test would take a minute and not a second.
constexpr int many = is_under_address_sanitizer || is_under_thread_sanitizer ? 6'000 : 60'000;
constexpr auto not_quadratic = 20s;

coro<> never() { co_await sleep(1h); }
coro<> after(task<> before) { co_await before; }

}  // namespace

TEST(event_loop, callbacks_run_in_order_after_the_step_that_queued_them) {
    std::vector<int> order;
    auto main = [&]() -> coro<> {
        event_loop& loop = get_running_loop();
        loop.call_soon([&] {
            order.push_back(1);
            loop.call_soon([&] { order.push_back(3); });
        });
        loop.call_soon([&] { order.push_back(2); });
        order.push_back(0);
        co_await sleep(0s);
        co_await sleep(0s);
    };
    run(main());
    EXPECT_THAT(order, ElementsAre(0, 1, 2, 3));
}

TEST(event_loop, timers_run_by_time_and_equal_ones_in_order) {
    std::vector<int> order;
    auto main = [&]() -> coro<> {
        event_loop& loop = get_running_loop();
        const auto when = loop.time() + 3ms;
        loop.call_at(when, [&] { order.push_back(2); });
        loop.call_at(when, [&] { order.push_back(3); });
        loop.call_later(1ms, [&] { order.push_back(1); });
        co_await sleep(4ms);
    };
    run(main());
    EXPECT_THAT(order, ElementsAre(1, 2, 3));
}

TEST(event_loop, a_timer_for_the_beginning_of_time_is_due_at_once) {
    auto main = []() -> coro<> {
        event called;
        get_running_loop().call_at(event_loop::time_point::min(), [&] { called.set(); });
        co_await called.wait();
    };
    run(main());
}

TEST(event_loop, a_cancelled_callback_is_not_called) {
    int calls = 0;
    auto main = [&]() -> coro<> {
        event_loop& loop = get_running_loop();
        handle soon = loop.call_soon([&] { ++calls; });
        handle later = loop.call_later(1ms, [&] { ++calls; });
        soon.cancel();
        later.cancel();
        later.cancel();
        EXPECT_TRUE(later.cancelled());
        co_await sleep(3ms);
    };
    run(main());
    EXPECT_EQ(calls, 0);
}

TEST(event_loop, a_cancelled_timer_lets_go_of_what_it_holds_at_once) {
    auto main = []() -> coro<> {
        const auto held = std::make_shared<int>(0);
        std::vector<handle> timers;
        for (int i = 0; i < 1000; ++i) timers.push_back(get_running_loop().call_later(1h, [held] {}));
        EXPECT_EQ(held.use_count(), 1001);
        for (handle& each : timers) each.cancel();
        EXPECT_TRUE(get_running_loop().timers().empty());
        timers.clear();
        EXPECT_EQ(held.use_count(), 1);
        co_return;
    };
    run(main());
}

TEST(event_loop, a_call_of_another_thread_that_comes_after_the_end_is_an_error) {
    runner ended;
    auto main = []() -> coro<> { co_return; };
    ended.run(main());
    ended.close();
    std::thread other([&] {
        EXPECT_THROW(ended.get_loop().call_soon_threadsafe([] {}), tercet::invalid_state_error);
        EXPECT_THROW(run_coroutine_threadsafe(main(), ended.get_loop()), tercet::invalid_state_error);
    });
    other.join();
}

TEST(event_loop, a_negative_delay_or_one_that_is_no_number_is_refused) {
    auto main = []() -> coro<> {
        event_loop& loop = get_running_loop();
        EXPECT_THROW(loop.call_later(-1ms, [] {}), std::invalid_argument);
        EXPECT_THROW(loop.call_later(std::chrono::duration<double>(0.0 / 0.0), [] {}), std::invalid_argument);
        handle far = loop.call_later(std::chrono::hours::max(), [] {});
        far.cancel();
        co_return;
    };
    run(main());
}

TEST(event_loop, what_a_callback_holds_is_freed_when_the_loop_ends) {
    auto held = std::make_shared<int>(1);
    auto main = [&]() -> coro<> {
        event_loop& loop = get_running_loop();
        loop.call_later(1h, [held] { FAIL(); });
        loop.call_soon([held] {});
        co_return;
    };
    run(main());
    EXPECT_EQ(held.use_count(), 1);
}

TEST(event_loop, an_error_of_a_callback_goes_to_the_exception_handler) {
    std::vector<std::string> errors;
    auto main = [&]() -> coro<> {
        event_loop& loop = get_running_loop();
        loop.set_exception_handler(
            [&](const std::exception_ptr& error, std::string_view) { errors.push_back(tercet::describe(error)); });
        loop.call_soon([] { throw std::runtime_error("broken"); });
        co_await sleep(0s);
    };
    run(main());
    EXPECT_THAT(errors, ElementsAre(HasSubstr("broken")));
}

TEST(event_loop, an_exception_handler_that_throws_is_reported_and_the_loop_goes_on) {
    const unread_errors unread;
    auto main = []() -> coro<int> {
        event_loop& loop = get_running_loop();
        loop.set_exception_handler([](auto&&...) { throw std::runtime_error("handler"); });
        loop.call_soon([] { throw std::runtime_error("callback"); });
        co_await sleep(1ms);
        co_return 1;
    };
    EXPECT_EQ(run(main()), 1);
    EXPECT_THAT(unread.texts(), ElementsAre(HasSubstr("handler"), HasSubstr("callback")));
}

TEST(event_loop, there_is_none_outside_run) {
    EXPECT_THROW(get_running_loop(), tercet::invalid_state_error);
    EXPECT_EQ(find_running_loop(), nullptr);
}

TEST(event_loop, run_inside_a_running_loop_says_what_to_write) {
    auto inner = []() -> coro<> { co_return; };
    auto main = [&]() -> coro<> {
        try {
            run(inner());
            ADD_FAILURE();
        } catch (const tercet::invalid_state_error& error) {
            EXPECT_THAT(error.what(), HasSubstr("co_await"));
        }
        co_return;
    };
    run(main());
}

TEST(event_loop, calls_of_another_thread_arrive_in_order_and_wake_it) {
    std::vector<int> order;
    auto main = [&]() -> coro<> {
        event_loop& loop = get_running_loop();
        event done;
        std::thread other([&] {
            for (int i = 0; i < 1000; ++i) loop.call_soon_threadsafe([&order, i] { order.push_back(i); });
            loop.call_soon_threadsafe([&] { done.set(); });
        });
        co_await done.wait();
        other.join();
    };
    run(main());
    ASSERT_EQ(order.size(), 1000U);
    EXPECT_TRUE(std::ranges::is_sorted(order));
}

TEST(event_loop, calls_that_requeue_themselves_do_not_starve_tasks) {
    auto main = []() -> coro<int> {
        event_loop& loop = get_running_loop();
        bool is_ended = false;
        std::function<void()> again = [&] {
            if (!is_ended) loop.call_soon_threadsafe(again);
        };
        again();
        for (int i = 0; i < 100; ++i) co_await sleep(0s);
        co_await sleep(1ms);
        is_ended = true;
        co_await sleep(0s);
        co_return 1;
    };
    EXPECT_EQ(run(main()), 1);
}

TEST(event_loop, a_coroutine_whose_waits_are_all_ready_lets_others_run) {
    auto main = []() -> coro<bool> {
        event always;
        always.set();
        bool has_fired = false;
        get_running_loop().call_later(1ms, [&] { has_fired = true; });
        const auto limit = get_running_loop().time() + 5s;
        while (!has_fired && get_running_loop().time() < limit) co_await always.wait();
        co_return has_fired;
    };
    EXPECT_TRUE(run(main()));
}

TEST(event_loop, reader_and_writer_of_one_descriptor_are_called_while_it_is_ready) {
    auto main = []() -> coro<> {
        event_loop& loop = get_running_loop();
        const socket_pair sockets;
        int reads = 0;
        int writes = 0;
        event enough;
        loop.add_reader(sockets.ends[0], [&] {
            if (++reads == 3) enough.set();
        });
        loop.add_writer(sockets.ends[0], [&] {
            if (++writes == 3) loop.remove_writer(sockets.ends[0]);
        });
        EXPECT_EQ(::write(sockets.ends[1], "x", 1), 1);
        co_await enough.wait();
        EXPECT_EQ(writes, 3);
        EXPECT_TRUE(loop.remove_reader(sockets.ends[0]));
        EXPECT_FALSE(loop.remove_reader(sockets.ends[0]));
        co_await sleep(1ms);
        EXPECT_EQ(reads, 3);
    };
    run(main());
}

TEST(event_loop, a_reader_that_is_removed_while_it_is_due_is_not_called) {
    auto main = []() -> coro<> {
        event_loop& loop = get_running_loop();
        const socket_pair first;
        const socket_pair second;
        int calls = 0;
        const auto remove_both = [&] {
            ++calls;
            loop.remove_reader(first.ends[0]);
            loop.remove_reader(second.ends[0]);
        };
        loop.add_reader(first.ends[0], remove_both);
        loop.add_reader(second.ends[0], remove_both);
        EXPECT_EQ(::write(first.ends[1], "x", 1), 1);
        EXPECT_EQ(::write(second.ends[1], "x", 1), 1);
        co_await sleep(2ms);
        EXPECT_EQ(calls, 1);
    };
    run(main());
}

TEST(event_loop, of_many_descriptors_that_are_ready_at_once_those_that_are_removed_meanwhile_are_not_called) {
    constexpr std::size_t count = 40;
    auto main = []() -> coro<> {
        event_loop& loop = get_running_loop();
        std::vector<std::unique_ptr<socket_pair>> all;
        for (std::size_t i = 0; i < count; ++i) all.push_back(std::make_unique<socket_pair>());
        int calls = 0;
        const auto remove_all = [&] {
            ++calls;
            for (const auto& each : all) loop.remove_reader(each->ends[0]);
        };
        for (const auto& each : all) {
            EXPECT_EQ(::write(each->ends[1], "x", 1), 1);
            loop.add_reader(each->ends[0], remove_all);
        }
        while (calls == 0) co_await sleep(0s);
        co_await sleep(1ms);  // the other events have their turn before that ends
        EXPECT_EQ(calls, 1);
    };
    run(main());
}

TEST(event_loop, a_descriptor_number_that_is_used_again_can_be_watched_again) {
    auto main = []() -> coro<> {
        event_loop& loop = get_running_loop();
        socket_pair sockets;
        loop.add_reader(sockets.ends[0], [] {});
        ::close(sockets.ends[0]);
        const int again = ::dup(sockets.ends[1]);
        EXPECT_EQ(again, sockets.ends[0]);
        event called;
        loop.add_writer(again, [&] {
            called.set();
            loop.remove_writer(again);
        });
        co_await called.wait();
        loop.remove_reader(again);
    };
    run(main());
}

TEST(event_loop, a_regular_file_cannot_be_watched) {
    auto main = []() -> coro<> {
        std::FILE* const file = std::tmpfile();
        EXPECT_THROW(get_running_loop().add_reader(::fileno(file), [] {}), std::system_error);
        std::fclose(file);
        co_return;
    };
    run(main());
}

TEST(event_loop, idle_it_uses_no_cpu) {
    auto main = []() -> coro<std::chrono::nanoseconds> {
        co_await sleep(1ms);
        const auto before = cpu_of_this_thread();
        co_await sleep(300ms);
        co_return cpu_of_this_thread() - before;
    };
    EXPECT_LT(run(main()), 10ms);
}

TEST(event_loop, busy_polling_looks_a_while_before_it_sleeps_and_no_longer) {
    if (runs_on(loop_backend::sim)) GTEST_SKIP() << "it has no time to spend";
    auto main = []() -> coro<std::chrono::nanoseconds> {
        const auto before = cpu_of_this_thread();
        co_await sleep(300ms);
        co_return cpu_of_this_thread() - before;
    };
    const std::chrono::nanoseconds used = run(main(), {.busy_poll = 20ms});
    EXPECT_GT(used, 1ms);
    EXPECT_LT(used, 100ms);
    EXPECT_THROW(run(main(), {.busy_poll = -1ms}), std::invalid_argument);
}

TEST(event_loop, busy_polling_sees_timers_descriptors_and_other_threads) {
    auto main = []() -> coro<> {
        for (int i = 0; i < 3; ++i) {
            co_await sleep(1ms);
            stream_pair both = stream_pair::make();
            auto answer = [&]() -> coro<std::string> { co_return co_await both.reader.read_exactly(1); };
            task<std::string> reading = create_task(answer());
            auto write = [&] { both.writer.write("x"); };
            get_running_loop().call_later(1ms, write);
            const std::string got = co_await reading;
            EXPECT_EQ(got, "x");
            auto call = [] { return 3; };
            const int from_thread = co_await to_thread(call);
            EXPECT_EQ(from_thread, 3);
        }
    };
    run(main(), {.busy_poll = 24h});  // it never sleeps
}

TEST(event_loop, leaves_no_descriptor_behind) {
    auto main = []() -> coro<> { co_await sleep(0s); };
    run(main());
    const auto before = open_descriptors();
    run(main());
    EXPECT_EQ(open_descriptors(), before);
}

TEST(event_loop, that_cannot_be_made_leaves_no_descriptor_behind) {
    if (is_under_address_sanitizer) GTEST_SKIP() << "UBSan's check of virtual tables opens a pipe of its own";
    rlimit usual{};
    ::getrlimit(RLIMIT_NOFILE, &usual);
    rlimit few = usual;
    few.rlim_cur = 64;
    ::setrlimit(RLIMIT_NOFILE, &few);
    std::vector<int> all;
    for (int next = ::dup(0); next >= 0; next = ::dup(0)) all.push_back(next);
    ::close(all.back());  // enough for the first descriptor of a loop
    EXPECT_THROW(event_loop(), std::system_error);
    all.back() = ::dup(0);
    EXPECT_GE(all.back(), 0);
    for (const int each : all) ::close(each);
    ::setrlimit(RLIMIT_NOFILE, &usual);
}

TEST(event_loop, its_end_looks_at_each_task_once_however_many_turns_it_takes) {
    const auto begin = std::chrono::steady_clock::now();
    event may_end;
    auto cleans_up = [&]() -> coro<> {
        const cancel_scope shield({.shield = true});
        co_await may_end.wait();
    };
    auto takes_turns = [&]() -> coro<> {
        const cancel_scope shield({.shield = true});
        for (int i = 0; i < 20 * many; ++i) co_await sleep(0s);
        may_end.set();
    };
    auto main = [&]() -> coro<> {
        for (int i = 0; i < 3 * many; ++i) create_task(cleans_up());
        create_task(takes_turns());
        co_return;
    };
    run(main());
    EXPECT_LT(std::chrono::steady_clock::now() - begin, not_quadratic);
}

TEST(event_loop, its_end_ends_a_chain_of_tasks_of_any_length_in_either_direction) {
    const auto begin = std::chrono::steady_clock::now();
    auto main = []() -> coro<> {
        task<> last = create_task(never());
        for (int i = 0; i < many; ++i) last = create_task(after(last));
        co_await sleep(0s);
        co_await sleep(0s);
    };
    run(main());
    auto starts_the_next = [](auto& self, int left) -> coro<> {
        if (left == 0) co_return co_await never();
        const task<> next = create_task(self(self, left - 1));
        co_await next;
    };
    auto nested = [&]() -> coro<> {
        create_task(starts_the_next(starts_the_next, many));
        for (int i = 0; i < many; ++i) co_await sleep(0s);
    };
    run(nested());
    EXPECT_LT(std::chrono::steady_clock::now() - begin, not_quadratic);
}

TEST(event_loop, its_end_ends_tasks_that_wait_for_each_other) {
    task<> first;
    auto wait = [](const task<>& other) -> coro<> { co_await other; };
    auto main = [&]() -> coro<> {
        task<> second;
        auto waits_for_second = [&]() -> coro<> { co_await second; };
        first = create_task(waits_for_second());
        second = create_task(wait(first));
        for (int i = 0; i < 10; ++i) create_task(never());
        co_await sleep(0s);
        co_await sleep(0s);
    };
    run(main());
    EXPECT_TRUE(first.cancelled());
}

TEST(event_loop, cancels_tasks_that_others_make_while_it_ends) {
    std::vector<std::string> messages;
    auto note = [&]() -> coro<> {
        try {
            co_await never();
        } catch (const tercet::cancelled_error& error) {
            messages.emplace_back(error.what());
        }
    };
    auto make_another = [&]() -> coro<> {
        try {
            co_await never();
        } catch (const tercet::cancelled_error&) {
            create_task(note());
        }
    };
    auto main = [&]() -> coro<> {
        create_task(note());
        create_task(make_another());
        co_await sleep(0s);
    };
    run(main());
    EXPECT_THAT(messages, ElementsAre("the event loop ends", "the event loop ends"));
}
