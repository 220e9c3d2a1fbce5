#include <tercet/multiprocessing.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include "process_probe.hpp"
#include "start_method_case.hpp"

namespace tercet::multiprocessing {
namespace {

using namespace std::chrono_literals;

class processes_by : public start_methods {
protected:
    template <class Fn, class... Args>
    static process make(Fn fn, Args... args) {
        return get_context(GetParam()).process(fn, args...);
    }
    template <class Fn>
    static int exitcode_of(Fn fn) {
        process child = make(fn);
        child.start();
        child.join();
        return child.exitcode().value();
    }
};
INSTANTIATE_TEST_SUITE_P(methods, processes_by, testing::ValuesIn(get_all_start_methods()), name_of_start_method);

TEST_P(processes_by, exitcode_says_how_it_ended) {
    EXPECT_EQ(exitcode_of([] {}), 0);
    if (!is_fork() || !is_under_address_sanitizer) {
        // At its exit the sanitizer looks for leaks, and misses the stacks of the threads that the copy does not have.
        EXPECT_EQ(exitcode_of([] { std::exit(7); }), 7);
    }
    EXPECT_EQ(exitcode_of([] { ::_exit(8); }), 8);
    EXPECT_EQ(exitcode_of([] { ::raise(SIGKILL); }), -SIGKILL);
    EXPECT_EQ(exitcode_of([] { throw std::runtime_error("on purpose"); }), 1);
}

TEST_P(processes_by, signals_end_it) {
    for (const auto& [end, signal] : {std::pair(&process::terminate, SIGTERM), std::pair(&process::kill, SIGKILL),
                                      std::pair(&process::interrupt, SIGINT)}) {
        signpost post;
        process child = make(
            [](const std::string& path) {
                signpost::write(path, ::getpid());
                for (;;) ::pause();
            },
            post.path());
        child.start();
        EXPECT_EQ(post.next(), child.pid());
        EXPECT_TRUE(child.is_alive());
        (child.*end)();
        EXPECT_TRUE(child.join(10s));
        EXPECT_EQ(child.exitcode(), -signal);
    }
}

TEST_P(processes_by, it_talks_over_a_pipe_and_knows_itself_and_its_parent) {
    auto [here, there] = pipe();
    process child = get_context(GetParam())
                        .process(
                            {.name = "reader"},
                            [](connection line, int twice) {
                                line.send(current_process().name);
                                line.send(current_process().pid);
                                line.send(parent_process()->pid);
                                line.send(line.recv<int>() * twice);
                            },
                            there, 2);
    child.start();
    there.close();
    EXPECT_EQ(here.recv<std::string>(), "reader");
    EXPECT_EQ(here.recv<pid_t>(), child.pid());
    EXPECT_EQ(here.recv<pid_t>(), ::getpid());
    here.send(21);
    EXPECT_EQ(here.recv<int>(), 42);
    child.join();
    EXPECT_EQ(child.exitcode(), 0);
}

TEST_P(processes_by, it_outlives_the_thread_that_has_started_it) {
    signpost post;
    signpost gate;
    process child = make(
        [](const std::string& here, const std::string& go_on) {
            signpost::write(here, 1);
            signpost::read(go_on);
        },
        post.path(), gate.path());
    std::thread([&] { child.start(); }).join();
    post.next();
    EXPECT_TRUE(child.is_alive());
    signpost::write(gate.path(), 0);
    child.join();
    EXPECT_EQ(child.exitcode(), 0);
}

TEST_P(processes_by, it_waits_for_processes_of_its_own) {
    signpost post;
    process child = make(
        [](const std::string& path) {
            static process inner(
                [](const std::string& inner_path) {
                    signpost::write(inner_path, ::getpid());
                    std::exit(0);
                },
                path);
            inner.start();
        },
        post.path());
    child.start();
    child.join();
    EXPECT_EQ(child.exitcode(), 0);
    EXPECT_NE(post.next(), child.pid());
}

}  // namespace
}  // namespace tercet::multiprocessing
