#include <tercet/futures/errors.hpp>
#include <tercet/multiprocessing/errors.hpp>
#include <tercet/multiprocessing/guard.hpp>
#include <tercet/multiprocessing/pipe.hpp>
#include <tercet/multiprocessing/process.hpp>
#include <tercet/multiprocessing/wait_ready.hpp>
#include <tercet/threading/thread.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "process_probe.hpp"
#include "sanitizers.hpp"

namespace tercet::multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::IsEmpty;
using testing::Optional;

void wait_for_ever() {
    for (;;) ::pause();
}

/// A process that has begun to wait for ever.
process patient() {
    auto [here, there] = pipe(false);
    process child(
        [](connection line) {
            line.send(0);
            wait_for_ever();
        },
        there);
    child.start();
    there.close();
    here.recv<int>();
    return child;
}

template <class Fn>
int exitcode_of(Fn fn) {
    process child(fn);
    child.start();
    child.join();
    return child.exitcode().value();
}

TEST(process, exitcode_says_whether_it_returned_exited_threw_or_was_killed) {
    EXPECT_EQ(exitcode_of([] {}), 0);
    EXPECT_EQ(exitcode_of([] { return 5; }), 0);
    EXPECT_EQ(exitcode_of([] { std::exit(7); }), 7);
    EXPECT_EQ(exitcode_of([] { ::_exit(8); }), 8);
    EXPECT_EQ(exitcode_of([] { ::raise(SIGKILL); }), -SIGKILL);
    EXPECT_EQ(exitcode_of([] { throw std::runtime_error("on purpose"); }), 1);
}

TEST(process, terminate_kill_and_interrupt_end_it_by_their_signals) {
    for (const auto& [end, signal] : {std::pair(&process::terminate, SIGTERM), std::pair(&process::kill, SIGKILL),
                                      std::pair(&process::interrupt, SIGINT)}) {
        process child = patient();
        EXPECT_TRUE(child.is_alive());
        EXPECT_EQ(child.exitcode(), std::nullopt);
        EXPECT_FALSE(child.join(0s));
        (child.*end)();
        EXPECT_TRUE(child.join(10s));
        EXPECT_THAT(child.exitcode(), Optional(-signal));
        EXPECT_FALSE(child.is_alive());
        (child.*end)();  // nothing is left to do
    }
}

TEST(process, an_exception_is_written_with_the_name_of_the_process) {
    testing::internal::CaptureStderr();
    // A server that was started before has another standard error.
    terminate_all();
    process child({.name = "reader"}, [] { throw std::runtime_error("no such row"); });
    child.start();
    const std::string pid = std::to_string(child.pid().value());
    child.join();
    const std::string text = testing::internal::GetCapturedStderr();
    terminate_all();
    EXPECT_THAT(text, testing::HasSubstr("process 'reader' (pid " + pid + "): "));
    EXPECT_THAT(text, testing::HasSubstr("no such row"));
}

TEST(process, close_needs_its_end_and_leaves_only_the_name) {
    process child = patient();
    EXPECT_THROW(child.close(), invalid_state_error);
    child.kill();
    child.join();
    child.close();
    child.close();
    EXPECT_THROW(child.is_alive(), invalid_state_error);
    EXPECT_THROW(child.exitcode(), invalid_state_error);
    EXPECT_THROW(child.join(), invalid_state_error);
    EXPECT_THROW(child.pid(), invalid_state_error);
    EXPECT_THROW(child.sentinel(), invalid_state_error);
    EXPECT_THROW(child.terminate(), invalid_state_error);
    EXPECT_THROW(child.start(), invalid_state_error);
    EXPECT_THAT(child.name(), testing::StartsWith("Process-"));
}

TEST(process, before_its_start_it_has_no_pid_and_cannot_be_joined) {
    process child([] {});
    EXPECT_EQ(child.pid(), std::nullopt);
    EXPECT_FALSE(child.is_alive());
    EXPECT_EQ(child.exitcode(), std::nullopt);
    EXPECT_THROW(child.join(), invalid_state_error);
    EXPECT_THROW(child.kill(), invalid_state_error);
    child.start();
    EXPECT_THROW(child.start(), invalid_state_error);
}

TEST(process, its_sentinel_is_readable_from_its_end_on) {
    process child = patient();
    EXPECT_THAT(wait_ready({child}, 0s), IsEmpty());
    child.kill();
    EXPECT_THAT(wait_ready({child}, 10s), testing::ElementsAre(0));
    EXPECT_THAT(child.exitcode(), Optional(-SIGKILL));
    EXPECT_THAT(wait_ready({child}, 0s), testing::ElementsAre(0));
}

TEST(process, children_are_known_while_they_live) {
    EXPECT_THAT(active_children(), IsEmpty());
    process first = patient();
    process second = patient();
    EXPECT_EQ(active_children(), (std::vector<process_handle>{first, second}));
    EXPECT_FALSE(active_children().at(0).daemon());
    process third({.daemon = true}, [] {
        for (;;) ::pause();
    });
    third.start();
    EXPECT_TRUE(active_children().at(2).daemon());
    third.kill();
    third.join();
    first.kill();
    first.join();
    EXPECT_EQ(active_children(), std::vector<process_handle>{second});
    second.kill();
    second.join();
    EXPECT_THAT(active_children(), IsEmpty());
}

TEST(process, knows_itself_and_its_parent) {
    EXPECT_EQ(current_process().name, "MainProcess");
    EXPECT_EQ(current_process().pid, ::getpid());
    EXPECT_FALSE(parent_process());
    auto [here, there] = pipe();
    process child(
        {.name = "Process-a", .daemon = true},
        [](connection line) {
            const auto self = current_process();
            const auto parent = parent_process().value();
            line.send(std::tuple(self.name, self.pid, self.daemon, parent.name, parent.pid));
            process grandchild([](connection inner) { inner.send(current_process().name); }, line);
            grandchild.start();
            grandchild.join();
        },
        there);
    child.start();
    EXPECT_EQ((here.recv<std::tuple<std::string, pid_t, bool, std::string, pid_t>>()),
              std::tuple(std::string("Process-a"), child.pid().value(), true, std::string("MainProcess"), ::getpid()));
    EXPECT_EQ(here.recv<std::string>(), "Process-a:1");
    child.join();
    EXPECT_GE(cpu_count(), 1U);
}

TEST(process, destroying_it_waits_for_it_and_lets_a_daemon_go) {
    auto [here, there] = pipe();
    {
        process child([](connection line) { line.send(1); }, there);
        child.start();
    }
    EXPECT_TRUE(here.poll());
    {
        process daemon(
            {.daemon = true}, [](connection line) { line.send(line.recv<int>() + 1); }, there);
        daemon.start();
    }
    ASSERT_EQ(active_children().size(), 1U);
    const auto daemon = active_children().front();
    EXPECT_EQ(here.recv<int>(), 1);
    here.send(5);
    EXPECT_EQ(here.recv<int>(), 6);
    daemon.join();
    EXPECT_THAT(daemon.exitcode(), Optional(0));
}

TEST(process, waits_for_its_threads_that_are_not_daemons) {
    auto [here, there] = pipe();
    process child(
        [](connection line) {
            static connection kept;
            kept = std::move(line);
            static threading::thread last([] { kept.send(kept.recv<int>() * 2); });
            last.start();
        },
        there);
    child.start();
    there.close();
    EXPECT_FALSE(child.join(0s));
    here.send(21);
    EXPECT_EQ(here.recv<int>(), 42);
    child.join();
    EXPECT_THAT(child.exitcode(), Optional(0));
}

TEST(process, a_killed_fork_server_takes_its_processes_along_and_is_replaced) {
    process old = patient();
    const process_watch watch(old.pid().value());
    ::kill(only_child(), SIGKILL);
    EXPECT_TRUE(old.join(10s));
    EXPECT_TRUE(watch.ends_within(10'000));
    EXPECT_THAT(old.exitcode(), Optional(-SIGKILL));
    EXPECT_EQ(exitcode_of([] { std::exit(3); }), 3);
}

TEST(process, the_fork_server_outlives_an_interrupt) {
    process old = patient();
    ::kill(only_child(), SIGINT);
    EXPECT_EQ(exitcode_of([] { std::exit(3); }), 3);
    EXPECT_TRUE(old.is_alive());
    old.kill();
}

TEST(process, large_arguments_arrive_and_descriptors_among_them) {
    auto [here, there] = pipe(false);
    process child(
        [](const std::string& text, connection line) {
            line.send(text.size());
            line.send(text);
        },
        std::string(5U << 20U, 'x'), there);
    child.start();
    there.close();
    EXPECT_EQ(here.recv<std::size_t>(), 5U << 20U);
    EXPECT_EQ(here.recv<std::string>(), std::string(5U << 20U, 'x'));
    child.join();
    EXPECT_THROW(here.recv<int>(), eof_error);
}

TEST(process, leaves_no_descriptors_behind) {
    exitcode_of([] {});
    const std::size_t before = open_fds();
    for (int i = 0; i < 5; ++i) exitcode_of([] {});
    active_children();
    EXPECT_EQ(open_fds(), before);
    EXPECT_FALSE(has_zombie());
}

TEST(process, the_child_of_a_fork_is_told_that_it_is_not_its_parent) {
    if (is_under_thread_sanitizer) GTEST_SKIP() << "it knows no threads in a copy of a process that had several";
    process child = patient();
    const pid_t copy = ::fork();
    if (copy == 0) {
        try {
            child.join();
        } catch (const invalid_state_error&) {
            ::_exit(active_children().empty() ? 0 : 2);
        }
        ::_exit(1);
    }
    int status = 0;
    ::waitpid(copy, &status, 0);
    EXPECT_EQ(status, 0);
    child.kill();
}

}  // namespace
}  // namespace tercet::multiprocessing
