#include <tercet/asyncio.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <semaphore.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <latch>
#include <string>
#include <thread>
#include <vector>

#include "asyncio/stream_pair.hpp"
#include "sanitizers.hpp"

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using tercet::cancelled_error;
using tercet::invalid_state_error;
using testing::ElementsAre;
using testing::IsEmpty;

namespace {

std::atomic<int> handled_by_test = 0;

/// What is done about a signal, put back at the end.
class disposition {
public:
    disposition(int number, void (*handler)(int)) : number_(number) {
        struct sigaction ours {};
        ours.sa_handler = handler;
        ::sigaction(number, &ours, &usual_);
    }
    disposition(const disposition&) = delete;
    disposition& operator=(const disposition&) = delete;
    ~disposition() { ::sigaction(number_, &usual_, nullptr); }

private:
    int number_;
    struct sigaction usual_ {};
};

void (*handler_of(int number))(int) {
    struct sigaction present {};
    ::sigaction(number, nullptr, &present);
    return present.sa_handler;
}

/// Until what has been raised has gone through the loop: it came by the same way as this, and before.
coro<> several_turns() {
    for (int i = 0; i < 3; ++i) {
        event passed;
        get_running_loop().call_soon_threadsafe([&] { passed.set(); });
        co_await passed.wait();
    }
}

/// The exit status of `child`.
int wait_for(pid_t child) {
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
}

}  // namespace

TEST(signal_set, gives_the_signal_that_came) {
    auto main = []() -> coro<> {
        signal_set two{SIGUSR1, SIGUSR2};
        ::raise(SIGUSR2);
        const int first = co_await two.next();
        EXPECT_EQ(first, SIGUSR2);
        get_running_loop().call_later(1ms, [] { ::kill(::getpid(), SIGUSR1); });
        const int second = co_await two.next();
        EXPECT_EQ(second, SIGUSR1);
    };
    run(main());
}

TEST(signal_set, gives_signals_in_the_order_in_which_they_came_and_does_not_count_them) {
    auto main = []() -> coro<> {
        signal_set two{SIGUSR1, SIGUSR2, SIGUSR1};
        ::raise(SIGUSR2);
        ::raise(SIGUSR1);
        ::raise(SIGUSR2);
        co_await several_turns();
        ::raise(SIGUSR2);
        co_await several_turns();
        const int first = co_await two.next();
        const int second = co_await two.next();
        EXPECT_EQ(first, SIGUSR2);
        EXPECT_EQ(second, SIGUSR1);
        auto wait = [&]() -> coro<> { co_await two.next(); };
        task<> third = create_task(wait());
        co_await several_turns();
        EXPECT_FALSE(third.done());
        ::raise(SIGUSR1);
        co_await third;
    };
    run(main());
}

TEST(signal_set, each_signal_goes_to_one_waiter_of_every_set) {
    auto main = []() -> coro<> {
        signal_set left{SIGUSR1};
        signal_set right{SIGUSR1};
        std::vector<std::string> got;
        auto wait = [&](signal_set& from, std::string name) -> coro<> {
            co_await from.next();
            got.push_back(std::move(name));
        };
        std::vector<task<>> tasks;
        tasks.push_back(create_task(wait(left, "left 1")));
        tasks.push_back(create_task(wait(left, "left 2")));
        tasks.push_back(create_task(wait(right, "right")));
        co_await several_turns();
        ::raise(SIGUSR1);
        co_await several_turns();
        EXPECT_THAT(got, ElementsAre("left 1", "right"));
        ::raise(SIGUSR1);
        co_await tasks[1];
        EXPECT_THAT(got, ElementsAre("left 1", "right", "left 2"));
    };
    run(main());
}

TEST(signal_set, a_cancelled_wait_leaves_the_signal_to_the_next) {
    auto main = []() -> coro<> {
        signal_set set{SIGUSR1};
        auto wait = [&]() -> coro<> { co_await set.next(); };
        task<> cancelled = create_task(wait());
        task<> next = create_task(wait());
        co_await several_turns();
        cancelled.cancel();
        ::raise(SIGUSR1);
        co_await next;
        EXPECT_TRUE(cancelled.cancelled());
    };
    run(main());
}

TEST(signal_set, puts_back_what_was_done_before_when_the_last_one_ends) {
    const disposition ours(SIGUSR1, [](int) { ++handled_by_test; });
    handled_by_test = 0;
    auto main = []() -> coro<> {
        const auto before = handler_of(SIGUSR1);
        auto outer = std::make_unique<signal_set>(std::initializer_list<int>{SIGUSR1});
        EXPECT_NE(handler_of(SIGUSR1), before);
        { signal_set inner{SIGUSR1}; }
        ::raise(SIGUSR1);
        EXPECT_EQ(handled_by_test, 0);
        co_await outer->next();
        outer.reset();
        EXPECT_EQ(handler_of(SIGUSR1), before);
        ::raise(SIGUSR1);
        EXPECT_EQ(handled_by_test, 1);
    };
    run(main());
}

TEST(signal_set, leaves_a_handler_alone_that_was_put_over_its_own) {
    const disposition ours(SIGUSR1, SIG_DFL);
    auto main = []() -> coro<> {
        signal_set set{SIGUSR1};
        ::signal(SIGUSR1, [](int) { ++handled_by_test; });
        co_return;
    };
    run(main());
    handled_by_test = 0;
    ::raise(SIGUSR1);
    EXPECT_EQ(handled_by_test, 1);
}

TEST(signal_set, hears_signals_that_other_threads_got_also_while_the_loop_sleeps) {
    auto main = []() -> coro<> {
        sem_t end;  // ThreadSanitizer lets no signals through in std::latch
        ::sem_init(&end, 0, 0);
        std::thread other([&] {
            while (::sem_wait(&end) != 0) {
            }
        });
        {
            signal_set set{SIGUSR1};
            for (int i = 0; i < 50; ++i) {
                get_running_loop().call_soon([&] { ::pthread_kill(other.native_handle(), SIGUSR1); });
                co_await set.next();
            }
        }
        ::sem_post(&end);
        other.join();
        ::sem_destroy(&end);
    };
    run(main());
}

TEST(signal_set, of_several_loops_all_hear_it) {
    std::latch listening(2);
    std::latch heard(2);
    auto listen = [&] {
        auto main = [&]() -> coro<> {
            signal_set set{SIGUSR1};
            listening.count_down();
            co_await set.next();
            heard.count_down();
        };
        run(main());
    };
    std::thread one(listen);
    std::thread other(listen);
    listening.wait();
    ::kill(::getpid(), SIGUSR1);
    heard.wait();
    one.join();
    other.join();
}

TEST(signal_set, sets_come_and_go_under_a_storm_of_signals) {
    // Sent from a thread of its own that has to be over before the dispositions are.
    const disposition ignored(SIGUSR1, SIG_IGN);
    std::atomic<bool> stops = false;
    std::thread storm([&] {
        while (!stops) {
            ::kill(::getpid(), SIGUSR1);
            std::this_thread::yield();
        }
    });
    auto listen = [] {
        auto main = []() -> coro<> {
            for (int i = 0; i < 30; ++i) {
                signal_set set{SIGUSR1};
                co_await set.next();
                co_await sleep(0s);
            }
        };
        run(main());
    };
    std::thread other(listen);
    listen();
    other.join();
    stops = true;
    storm.join();
}

TEST(storm_of_signals, breaks_no_connection_and_hastens_no_timer) {
    struct sigaction nothing {};
    struct sigaction usual {};
    nothing.sa_handler = [](int) {};
    ASSERT_EQ(::sigaction(SIGALRM, &nothing, &usual), 0);  // without SA_RESTART
    const itimerval often{{0, 300}, {0, 300}};
    ASSERT_EQ(::setitimer(ITIMER_REAL, &often, nullptr), 0);
    auto main = []() -> coro<> {
        const server echo_server = co_await start_server(&echo, "127.0.0.1", 0);
        const std::string data(1 << 20, 'x');
        for (int i = 0; i < 5; ++i) {
            connection peer = co_await open_connection("127.0.0.1", echo_server.port());
            peer.writer.write(data);
            const std::string got = co_await peer.reader.read_exactly(data.size());
            EXPECT_TRUE(got == data);
        }
        const auto begun = get_running_loop().time();
        co_await sleep(20ms);
        EXPECT_GE(get_running_loop().time() - begun, 20ms);
    };
    run(main());
    const itimerval never{};
    ::setitimer(ITIMER_REAL, &never, nullptr);
    ::sigaction(SIGALRM, &usual, nullptr);
}

TEST(signal_set, refuses_what_cannot_be_handled) {
    auto main = []() -> coro<> {
        try {
            signal_set set{SIGUSR1, SIGKILL};
            ADD_FAILURE();
        } catch (const std::system_error& error) {
            EXPECT_STREQ(error.what(), "handle signal 9: Invalid argument");
        }
        EXPECT_EQ(handler_of(SIGUSR1), SIG_DFL);
        EXPECT_THROW(signal_set{SIGSEGV}, std::invalid_argument);
        EXPECT_THROW(signal_set{0}, std::invalid_argument);
        EXPECT_THROW(signal_set{10'000}, std::invalid_argument);
        co_return;
    };
    run(main());
    EXPECT_THROW(signal_set{SIGUSR1}, invalid_state_error);
}

TEST(signal_set, ends_its_waits_with_the_loop) {
    const disposition ours(SIGUSR1, SIG_DFL);
    auto main = []() -> coro<> {
        auto wait = []() -> coro<> {
            signal_set set{SIGUSR1};
            ::raise(SIGUSR1);
            co_await set.next();
            co_await set.next();
        };
        task<> left = create_task(wait());
        co_await several_turns();
    };
    run(main());
    EXPECT_EQ(handler_of(SIGUSR1), SIG_DFL);
}

TEST(add_signal_handler, calls_back_until_it_is_removed) {
    const disposition ours(SIGUSR1, SIG_IGN);
    auto main = []() -> coro<> {
        event_loop& loop = get_running_loop();
        std::vector<int> calls;
        loop.add_signal_handler(SIGUSR1, [&] { calls.push_back(1); });
        ::raise(SIGUSR1);
        EXPECT_THAT(calls, IsEmpty());
        co_await several_turns();
        EXPECT_THAT(calls, ElementsAre(1));
        loop.add_signal_handler(SIGUSR1, [&] { calls.push_back(2); });
        ::raise(SIGUSR1);
        co_await several_turns();
        EXPECT_THAT(calls, ElementsAre(1, 2));
        ::raise(SIGUSR1);
        EXPECT_TRUE(loop.remove_signal_handler(SIGUSR1));
        EXPECT_FALSE(loop.remove_signal_handler(SIGUSR1));
        EXPECT_EQ(handler_of(SIGUSR1), SIG_IGN);
        co_await several_turns();
        EXPECT_THAT(calls, ElementsAre(1, 2));
        EXPECT_THROW(loop.add_signal_handler(SIGKILL, [] {}), std::system_error);
    };
    run(main());
}

TEST(add_signal_handler, may_remove_itself_and_is_gone_with_the_loop) {
    const disposition ours(SIGUSR1, SIG_IGN);
    auto main = []() -> coro<> {
        event_loop& loop = get_running_loop();
        int calls = 0;
        loop.add_signal_handler(SIGUSR1, [&] {
            ++calls;
            loop.remove_signal_handler(SIGUSR1);
        });
        ::raise(SIGUSR1);
        co_await several_turns();
        ::raise(SIGUSR1);
        co_await several_turns();
        EXPECT_EQ(calls, 1);
        loop.add_signal_handler(SIGUSR1, [] { ADD_FAILURE(); });
        ::raise(SIGUSR1);
        co_return;
    };
    run(main());
    EXPECT_EQ(handler_of(SIGUSR1), SIG_IGN);
}

TEST(fork, gives_the_child_no_running_loop) {
    if (is_under_thread_sanitizer) GTEST_SKIP() << "forks with threads of the sanitizer";
    auto main = []() -> coro<> {
        const pid_t child = ::fork();
        if (child == 0) {
            const bool is_without = find_running_loop() == nullptr;
            auto answer = []() -> coro<int> {
                co_await sleep(1ms);
                co_return 42;
            };
            ::_exit(is_without && run(answer()) == 42 ? 0 : 1);
        }
        EXPECT_EQ(wait_for(child), 0);
        EXPECT_NE(find_running_loop(), nullptr);
        co_return;
    };
    run(main());
}

TEST(fork, keeps_signals_of_the_child_from_the_loop_of_the_parent) {
    if (is_under_thread_sanitizer) GTEST_SKIP() << "forks with threads of the sanitizer";
    auto main = []() -> coro<> {
        event_loop& loop = get_running_loop();
        bool is_handled_by_parent = false;
        loop.add_signal_handler(SIGTERM, [&] { is_handled_by_parent = true; });
        const pid_t with_loop = ::fork();
        if (with_loop == 0) {
            auto wait = []() -> coro<int> {
                signal_set set{SIGTERM};
                ::raise(SIGTERM);
                co_return co_await set.next();
            };
            ::_exit(run(wait()) == SIGTERM ? 0 : 1);
        }
        EXPECT_EQ(wait_for(with_loop), 0);
        const pid_t without = ::fork();
        if (without == 0) {
            ::raise(SIGTERM);  // ends it, as it would without a loop
            ::_exit(0);
        }
        EXPECT_EQ(WTERMSIG(wait_for(without)), SIGTERM);
        co_await several_turns();
        EXPECT_FALSE(is_handled_by_parent);
        ::raise(SIGTERM);
        co_await several_turns();
        EXPECT_TRUE(is_handled_by_parent);
    };
    run(main());
}
