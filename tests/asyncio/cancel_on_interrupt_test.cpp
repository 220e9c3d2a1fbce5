#include <tercet/asyncio.hpp>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <stdexcept>

#include "sanitizers.hpp"

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using tercet::cancelled_error;

namespace {

coro<> interrupted_while_waiting(bool& is_cancelled) {
    ::raise(SIGINT);
    try {
        co_await sleep(1h);
    } catch (const cancelled_error& error) {
        EXPECT_STREQ(error.what(), "SIGINT");
        is_cancelled = true;
        throw;
    }
}

coro<int> with_a_result_nevertheless() {
    ::raise(SIGINT);
    try {
        co_await sleep(1h);
    } catch (const cancelled_error&) {
    }
    co_return 42;
}

coro<> that_fails_in_its_clean_up() {
    ::raise(SIGINT);
    try {
        co_await sleep(1h);
    } catch (const cancelled_error&) {
        throw std::logic_error("in the clean-up");
    }
}

}  // namespace

TEST(cancel_on_interrupt, the_first_sigint_cancels_the_work_and_is_thrown_when_it_has_ended) {
    bool is_cancelled = false;
    EXPECT_THROW(run(cancel_on_interrupt(interrupted_while_waiting(is_cancelled))), keyboard_interrupt);
    EXPECT_TRUE(is_cancelled);
    struct sigaction present {};
    ::sigaction(SIGINT, nullptr, &present);
    EXPECT_EQ(present.sa_handler, SIG_DFL);
}

TEST(cancel_on_interrupt, delivers_results_and_other_errors) {
    EXPECT_EQ(run(cancel_on_interrupt(with_a_result_nevertheless())), 42);
    EXPECT_THROW(run(cancel_on_interrupt(that_fails_in_its_clean_up())), std::logic_error);
}

TEST(cancel_on_interrupt, another_cancellation_stays_one) {
    auto main = []() -> coro<> {
        auto wait = []() -> coro<> { co_await sleep(1h); };
        task<> waiting = create_task(cancel_on_interrupt(wait()));
        co_await sleep(0s);
        waiting.cancel();
        bool is_cancelled = false;
        try {
            co_await waiting;
        } catch (const cancelled_error&) {
            is_cancelled = true;
        }
        EXPECT_TRUE(is_cancelled);
    };
    run(main());
}

TEST(cancel_on_interrupt, ends_a_task_group_bare_after_its_other_children) {
    bool is_child_cancelled = false;
    bool is_other_cancelled = false;
    auto other = [&]() -> coro<> {
        try {
            co_await sleep(1h);
        } catch (const cancelled_error&) {
            is_other_cancelled = true;
            throw;
        }
    };
    auto body = [&](task_group& group) -> coro<> {
        group.create_task(other());
        group.create_task(cancel_on_interrupt(interrupted_while_waiting(is_child_cancelled)));
        co_return;
    };
    EXPECT_THROW(run(with_task_group(body)), keyboard_interrupt);
    EXPECT_TRUE(is_child_cancelled);
    EXPECT_TRUE(is_other_cancelled);
}

TEST(cancel_on_interrupt, is_an_option_of_run_and_of_a_runner) {
    bool is_cancelled = false;
    EXPECT_THROW(run(interrupted_while_waiting(is_cancelled), {.handle_interrupt = true}), keyboard_interrupt);
    EXPECT_TRUE(is_cancelled);
    EXPECT_EQ(run(with_a_result_nevertheless(), {.handle_interrupt = true}), 42);

    runner several({.handle_interrupt = true});
    is_cancelled = false;
    EXPECT_THROW(several.run(interrupted_while_waiting(is_cancelled)), keyboard_interrupt);
    EXPECT_TRUE(is_cancelled);
    EXPECT_EQ(several.run(with_a_result_nevertheless()), 42);
    struct sigaction present {};
    ::sigaction(SIGINT, nullptr, &present);
    EXPECT_EQ(present.sa_handler, SIG_DFL);
}

TEST(cancel_on_interrupt, the_second_sigint_does_what_it_did_before) {
    if (is_under_thread_sanitizer) GTEST_SKIP() << "the sanitizer has a thread of its own when it forks";
    const pid_t child = ::fork();
    if (child == 0) {
        ::signal(SIGINT, SIG_DFL);  // it may be ignored by whoever started this program
        auto stubborn = []() -> coro<> {
            ::raise(SIGINT);
            try {
                co_await sleep(1h);
            } catch (const cancelled_error&) {
            }
            ::raise(SIGINT);
            ::_exit(0);
        };
        run(cancel_on_interrupt(stubborn()));
    }
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    EXPECT_TRUE(WIFSIGNALED(status));
    EXPECT_EQ(WTERMSIG(status), SIGINT);
}
