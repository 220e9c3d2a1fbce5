#include <tercet/asyncio.hpp>
#include <tercet/futures/errors.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <latch>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "asyncio/open_descriptors.hpp"
#include "asyncio/unread_errors.hpp"

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using testing::HasSubstr;

namespace {

/// Waits until it is cancelled, whatever the clock does.
coro<> wait_for_ever() {
    event never;
    co_await never.wait();
}

}  // namespace

TEST(run_per_core, runs_main_once_for_each_core_on_a_loop_and_a_thread_of_its_own) {
    std::mutex mutex;
    std::set<std::size_t> cores;
    std::set<std::thread::id> threads;
    std::set<event_loop*> loops;
    std::latch all_there(3);
    const auto main = [&](std::size_t core) -> coro<> {
        {
            const std::scoped_lock guard(mutex);
            cores.insert(core);
            threads.insert(std::this_thread::get_id());
            loops.insert(&get_running_loop());
        }
        all_there.arrive_and_wait();
        co_return;
    };
    EXPECT_EQ(run_per_core(main, {.cores = 3}), 0);
    EXPECT_EQ(cores, (std::set<std::size_t>{0, 1, 2}));
    EXPECT_EQ(threads.size(), 3U);
    EXPECT_EQ(loops.size(), 3U);
    EXPECT_FALSE(threads.contains(std::this_thread::get_id()));
}

TEST(run_per_core, without_a_number_there_is_a_loop_for_each_usable_core) {
    cpu_set_t allowed;
    ::sched_getaffinity(0, sizeof allowed, &allowed);
    std::atomic<int> count{0};
    const auto main = [&](std::size_t) -> coro<> {
        ++count;
        co_return;
    };
    run_per_core(main);
    EXPECT_EQ(count, CPU_COUNT(&allowed));
}

TEST(run_per_core, pinned_threads_stay_on_their_core) {
    std::atomic<int> wrong{0};
    const auto main = [&](std::size_t) -> coro<> {
        cpu_set_t mine;
        ::sched_getaffinity(0, sizeof mine, &mine);
        if (CPU_COUNT(&mine) != 1) ++wrong;
        co_return;
    };
    run_per_core(main, {.cores = 2, .pin = true});
    EXPECT_EQ(wrong, 0);
}

TEST(run_per_core, an_error_in_one_loop_ends_the_others_and_is_thrown) {
    std::atomic<int> cancelled{0};
    const auto main = [&](std::size_t core) -> coro<> {
        if (core == 1) {
            co_await sleep(0s);
            throw std::runtime_error("core 1 is broken");
        }
        try {
            co_await wait_for_ever();
        } catch (const tercet::cancelled_error& error) {
            EXPECT_THAT(error.what(), HasSubstr("another loop failed"));
            ++cancelled;
            throw;
        }
    };
    try {
        run_per_core(main, {.cores = 3});
        ADD_FAILURE();
    } catch (const std::runtime_error& error) {
        EXPECT_STREQ(error.what(), "core 1 is broken");
    }
    EXPECT_EQ(cancelled, 2);
}

TEST(run_per_core, a_second_error_is_reported_and_not_lost) {
    const unread_errors unread;
    const auto main = [&](std::size_t core) -> coro<> {
        if (core == 0) throw std::runtime_error("first");
        try {
            co_await wait_for_ever();
        } catch (const tercet::cancelled_error&) {
            throw std::runtime_error("second");
        }
    };
    EXPECT_THROW(run_per_core(main, {.cores = 2}), std::runtime_error);
    EXPECT_THAT(unread.texts(), testing::ElementsAre(HasSubstr("second")));
}

/// SIGINT does what it does by itself, also where whoever started this program ignores it.
class default_interrupt {
public:
    default_interrupt() {
        struct sigaction by_default {};
        by_default.sa_handler = SIG_DFL;
        ::sigaction(SIGINT, &by_default, &before_);
    }
    default_interrupt(const default_interrupt&) = delete;
    default_interrupt& operator=(const default_interrupt&) = delete;
    ~default_interrupt() { ::sigaction(SIGINT, &before_, nullptr); }

private:
    struct sigaction before_ {};
};

TEST(run_per_core, an_interrupt_ends_every_loop_and_is_returned) {
    const default_interrupt as_usual;
    std::atomic<int> cleaned_up{0};
    std::latch all_there(2);
    const auto main = [&](std::size_t core) -> coro<> {
        all_there.arrive_and_wait();
        if (core == 0) ::kill(::getpid(), SIGINT);
        try {
            co_await wait_for_ever();
        } catch (const tercet::cancelled_error&) {
            ++cleaned_up;
            throw;
        }
    };
    EXPECT_EQ(run_per_core(main, {.cores = 2}), SIGINT);
    EXPECT_EQ(cleaned_up, 2);
    struct sigaction after {};
    ::sigaction(SIGINT, nullptr, &after);
    EXPECT_EQ(after.sa_handler, SIG_DFL);
}

TEST(run_per_core, a_signal_that_the_program_handles_itself_is_left_to_it) {
    static std::atomic<int> handled;
    handled = 0;
    struct sigaction mine {};
    struct sigaction before {};
    mine.sa_handler = [](int) { ++handled; };
    ::sigaction(SIGTERM, &mine, &before);
    const auto main = [](std::size_t) -> coro<> {
        ::kill(::getpid(), SIGTERM);
        while (handled == 0) co_await sleep(0s);
    };
    EXPECT_EQ(run_per_core(main, {.cores = 1}), 0);
    ::sigaction(SIGTERM, &before, nullptr);
    EXPECT_EQ(handled, 1);
}

TEST(run_per_core, servers_share_a_port_and_each_gets_connections) {
    const default_interrupt as_usual;
    constexpr std::size_t cores = 2;
    std::array<std::atomic<int>, cores> served{};
    std::atomic<std::uint16_t> port{0};
    const auto main = [&](std::size_t core) -> coro<> {
        event done;
        auto handler = [&](stream_reader, stream_writer) -> coro<> {
            ++served[core];
            co_return;
        };
        // The first chooses the port.
        while (core > 0 && port == 0) co_await sleep(1ms);
        const server listening = co_await start_server(handler, "127.0.0.1", port, {.reuse_port = true});
        port = listening.port();
        co_await wait_for_ever();
    };
    std::jthread client([&] {
        auto connect = [&]() -> coro<> {
            while (port == 0) co_await sleep(1ms);
            for (int i = 0; i < 1000 && (served[0] == 0 || served[1] == 0); ++i) {
                const connection opened = co_await open_connection("127.0.0.1", port);
                const std::string rest = co_await opened.reader.read();
            }
        };
        run(connect(), {.backend = loop_backend::epoll});
        ::kill(::getpid(), SIGINT);
    });
    EXPECT_EQ(run_per_core(main, {.cores = cores, .loop = {.backend = loop_backend::epoll}}), SIGINT);
    EXPECT_GT(served[0], 0);
    EXPECT_GT(served[1], 0);
}

TEST(run_per_core, leaves_no_descriptor_behind) {
    const auto main = [](std::size_t) -> coro<> { co_await sleep(0s); };
    run_per_core(main, {.cores = 2});
    const auto before = open_descriptors();
    run_per_core(main, {.cores = 2});
    EXPECT_EQ(open_descriptors(), before);
}
