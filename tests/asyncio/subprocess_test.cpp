#include <tercet/asyncio.hpp>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sanitizers.hpp>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <string>
#include <vector>

#include "asyncio/few_descriptors.hpp"
#include "asyncio/open_descriptors.hpp"
#include "asyncio/temporary_directory.hpp"

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using tercet::cancelled_error;
using tercet::invalid_state_error;
using testing::HasSubstr;

namespace {

const subprocess_options both_pipes{.stdin_ = stdio::pipe, .stdout_ = stdio::pipe};
const subprocess_options output_pipe{.stdout_ = stdio::pipe};

/// What `command` of the shell writes.
coro<std::string> output_of(std::string command, const subprocess_options& options = output_pipe) {
    auto child = create_subprocess_shell(std::move(command), options);
    const auto output = co_await child.communicate();
    EXPECT_EQ(child.returncode(), 0);
    co_return output.stdout_;
}

template <class Error>
std::string text_of_error(const std::string& program, const subprocess_options& options = {},
                          std::vector<std::string> arguments = {}) {
    try {
        auto child = create_subprocess_exec(program, std::move(arguments), options);
    } catch (const Error& error) {
        return error.what();
    }
    return "no error";
}

bool is_there(pid_t pid) { return ::kill(pid, 0) == 0; }

/// Until the process is gone, reaped and all.
coro<> wait_until_gone(pid_t pid) {
    while (is_there(pid)) co_await sleep(1ms);
}

bool has_children() { return ::waitpid(-1, nullptr, WNOHANG) >= 0; }

}  // namespace

TEST(subprocess, communicate_gives_the_input_and_takes_the_output) {
    const auto before = open_descriptors();
    auto main = []() -> coro<> {
        auto child = create_subprocess_exec("sort", {"-n"}, both_pipes);
        EXPECT_EQ(child.returncode(), std::nullopt);
        EXPECT_GT(child.pid(), 0);
        const auto output = co_await child.communicate("10\n9\n1\n");
        EXPECT_EQ(output.stdout_, "1\n9\n10\n");
        EXPECT_EQ(output.stderr_, "");
        EXPECT_EQ(child.returncode(), 0);
        const int code = co_await child.wait();
        EXPECT_EQ(code, 0);
    };
    run(main());
    EXPECT_EQ(open_descriptors(), before);
    EXPECT_FALSE(has_children());
}

TEST(subprocess, communicate_moves_megabytes_both_ways_without_a_deadlock) {
    auto main = []() -> coro<> {
        auto child = create_subprocess_exec("tee", {"/dev/stderr"},
                                            {.stdin_ = stdio::pipe, .stdout_ = stdio::pipe, .stderr_ = stdio::pipe});
        const std::string input(5'000'000, 'x');
        const auto output = co_await child.communicate(input);
        EXPECT_TRUE(output.stdout_ == input);
        EXPECT_TRUE(output.stderr_ == input);
    };
    run(main());
}

TEST(subprocess, communicate_bounds_the_output) {
    auto main = []() -> coro<> {
        auto child = create_subprocess_exec("cat", {"/dev/zero"}, output_pipe);
        try {
            co_await child.communicate({}, {.max_output = 100'000});
            ADD_FAILURE();
        } catch (const limit_overrun_error& error) {
            EXPECT_THAT(error.what(), HasSubstr("100000"));
        }
        EXPECT_EQ(child.returncode(), std::nullopt);
    };
    run(main());
    EXPECT_FALSE(has_children());
}

TEST(subprocess, that_takes_no_input_is_no_error) {
    auto main = []() -> coro<> {
        auto child = create_subprocess_exec("true", {}, both_pipes);
        co_await child.communicate(std::string(1'000'000, 'x'));
        EXPECT_EQ(child.returncode(), 0);
        auto without = create_subprocess_exec("true");
        EXPECT_THROW(without.stdin_writer(), invalid_state_error);
        try {
            co_await without.communicate("x");
            ADD_FAILURE();
        } catch (const std::invalid_argument& error) {
            EXPECT_THAT(error.what(), HasSubstr("no pipe"));
        }
    };
    run(main());
}

TEST(subprocess, is_talked_to_line_by_line) {
    auto main = []() -> coro<> {
        auto child = create_subprocess_exec("cat", {}, both_pipes);
        for (int i = 0; i < 100; ++i) {
            const std::string line = std::to_string(i) + '\n';
            child.stdin_writer().write(line);
            co_await child.stdin_writer().drain();
            const std::string back = co_await child.stdout_reader().read_line();
            EXPECT_EQ(back, line);
        }
        child.stdin_writer().write_eof();
        const std::string end = co_await child.stdout_reader().read();
        EXPECT_EQ(end, "");
        const int code = co_await child.wait();
        EXPECT_EQ(code, 0);
    };
    run(main());
}

TEST(subprocess, tells_exit_codes_from_signals) {
    auto main = []() -> coro<> {
        auto failing = create_subprocess_shell("exit 7");
        auto signalled = create_subprocess_shell("kill -USR1 $$");
        const int code = co_await failing.wait();
        EXPECT_EQ(code, 7);
        const int by_signal = co_await signalled.wait();
        EXPECT_EQ(by_signal, -SIGUSR1);
        failing.kill();  // which does nothing any more
    };
    run(main());
}

TEST(subprocess, that_ignores_sigterm_is_ended_by_sigkill) {
    auto main = []() -> coro<> {
        auto child = create_subprocess_shell("trap '' TERM; echo ready; while :; do sleep 0.01; done", output_pipe);
        co_await child.stdout_reader().read_line();
        child.terminate();
        auto wait = [&]() -> coro<int> { co_return co_await child.wait(); };
        try {
            co_await timeout(50ms, wait());
            ADD_FAILURE();
        } catch (const tercet::timeout_error&) {
        }
        EXPECT_EQ(child.returncode(), std::nullopt);
        child.kill();
        const int code = co_await child.wait();
        EXPECT_EQ(code, -SIGKILL);
    };
    run(main());
}

TEST(subprocess, terminate_and_signals_reach_it) {
    auto main = []() -> coro<> {
        auto child = create_subprocess_shell("trap 'echo got; exit 3' USR1; echo ready; while :; do sleep 0.01; done",
                                             output_pipe);
        co_await child.stdout_reader().read_line();
        child.send_signal(SIGUSR1);
        const std::string got = co_await child.stdout_reader().read_line();
        EXPECT_EQ(got, "got\n");
        const int code = co_await child.wait();
        EXPECT_EQ(code, 3);
        auto other = create_subprocess_exec("sleep", {"1000"});
        EXPECT_THROW(other.send_signal(1000), std::system_error);
        other.terminate();
        const int by_signal = co_await other.wait();
        EXPECT_EQ(by_signal, -SIGTERM);
    };
    run(main());
}

TEST(subprocess, a_program_that_cannot_run_is_an_error_that_names_it_and_leaves_nothing) {
    const temporary_directory where;
    auto main = [&]() -> coro<> {
        const auto before = open_descriptors();
        const subprocess_options pipes{.stdin_ = stdio::pipe, .stdout_ = stdio::pipe, .stderr_ = stdio::pipe};
        EXPECT_EQ(text_of_error<std::system_error>("no-such-program", pipes),
                  "run no-such-program: No such file or directory");
        EXPECT_EQ(text_of_error<std::system_error>(where.path(), pipes), "run " + where.path() + ": Permission denied");
        EXPECT_EQ(text_of_error<std::system_error>("true", {.stdin_ = stdio::pipe, .cwd = where / "no"}),
                  "run true in " + (where / "no") + ": No such file or directory");
        EXPECT_THAT(text_of_error<std::system_error>("true", {.stdin_ = stdio::pipe, .stdout_ = 9999}),
                    HasSubstr("descriptor 9999: Bad file descriptor"));
        EXPECT_THAT(text_of_error<std::invalid_argument>("true", {.stdout_ = stdio::to_stdout}),
                    HasSubstr("to_stdout"));
        EXPECT_THAT(text_of_error<std::invalid_argument>("true", {}, {std::string("a\0b", 3)}), HasSubstr("zero byte"));
        EXPECT_EQ(open_descriptors(), before);
        EXPECT_FALSE(has_children());
        co_return;
    };
    run(main());
    EXPECT_EQ(text_of_error<invalid_state_error>("true").substr(0, 13), "no event loop");
}

TEST(subprocess, without_descriptors_creating_fails_by_name_and_leaves_nothing) {
    if (is_under_address_sanitizer) GTEST_SKIP() << "UBSan's check of virtual tables opens a pipe of its own";
    auto main = []() -> coro<> {
        const auto before = open_descriptors();
        int failures = 0;
        for (std::size_t spare = 0; spare < 16; ++spare) {
            const few_descriptors few(spare);
            try {
                auto child = create_subprocess_exec(
                    "true", {}, {.stdin_ = stdio::pipe, .stdout_ = stdio::pipe, .stderr_ = stdio::devnull});
                co_await child.wait();
            } catch (const std::system_error& error) {
                EXPECT_EQ(error.code().value(), EMFILE) << error.what();
                EXPECT_THAT(error.what(), HasSubstr("run true"));
                ++failures;
            }
            EXPECT_FALSE(has_children());
            EXPECT_EQ(few.spare_now(), spare);
        }
        EXPECT_GT(failures, 3);
        EXPECT_LT(failures, 16);
        EXPECT_EQ(open_descriptors(), before);
    };
    run(main());
}

TEST(subprocess, redirections_lead_where_they_say) {
    const temporary_directory where;
    auto main = [&]() -> coro<> {
        const subprocess_options joining{.stdout_ = stdio::pipe, .stderr_ = stdio::to_stdout};
        const std::string joined = co_await output_of("echo out; echo err >&2", joining);
        EXPECT_EQ(joined, "out\nerr\n");
        const subprocess_options nowhere{.stdin_ = stdio::devnull, .stdout_ = stdio::pipe, .stderr_ = stdio::devnull};
        const std::string nothing = co_await output_of("cat; echo lost >&2; echo end", nowhere);
        EXPECT_EQ(nothing, "end\n");
        const int out = ::open((where / "out").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        auto child = create_subprocess_shell("echo to file", {.stdout_ = out});
        co_await child.wait();
        std::string written(20, '\0');
        const ssize_t count = ::pread(out, written.data(), written.size(), 0);
        EXPECT_EQ(written.substr(0, static_cast<std::size_t>(count)), "to file\n");
        ::close(out);
    };
    run(main());
}

TEST(subprocess, standard_descriptors_that_are_closed_here_do_not_matter) {
    auto main = []() -> coro<> {
        const int kept = ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 10);
        ::close(STDIN_FILENO);
        auto child = create_subprocess_exec("cat", {}, both_pipes);
        const auto output = co_await child.communicate("through\n");
        ::dup2(kept, STDIN_FILENO);
        ::close(kept);
        EXPECT_EQ(output.stdout_, "through\n");
    };
    run(main());
}

TEST(subprocess, inherits_no_descriptor_no_mask_and_no_ignored_sigpipe) {
    const int leaky = ::open("/dev/null", O_RDONLY);  // not close-on-exec
    sigset_t blocked;
    sigset_t usual;
    ::sigemptyset(&blocked);
    ::sigaddset(&blocked, SIGUSR2);
    ::pthread_sigmask(SIG_BLOCK, &blocked, &usual);
    const auto usual_pipe = ::signal(SIGPIPE, SIG_IGN);
    auto main = []() -> coro<> {
        auto other = create_subprocess_exec("sleep", {"1000"}, both_pipes);
        const std::string names = co_await output_of("ls /proc/self/fd | tr '\\n' ' '");
        EXPECT_EQ(names, "0 1 2 3 ");  // 3 is the directory
        const std::string blocked_there = co_await output_of("sed -n 's/^SigBlk:.//p' /proc/self/status");
        EXPECT_EQ(std::stoull(blocked_there, nullptr, 16), 0U);
        const std::string ignored_there = co_await output_of("sed -n 's/^SigIgn:.//p' /proc/self/status");
        EXPECT_EQ(std::stoull(ignored_there, nullptr, 16) & (1U << (SIGPIPE - 1)), 0U);
    };
    run(main());
    ::signal(SIGPIPE, usual_pipe);
    ::pthread_sigmask(SIG_SETMASK, &usual, nullptr);
    ::close(leaky);
}

TEST(subprocess, has_the_directory_and_the_environment_that_it_was_given) {
    const temporary_directory where;
    auto main = [&]() -> coro<> {
        subprocess_options options = output_pipe;
        options.cwd = where.path();
        options.env = environment{{"COLOUR", "green = blue"}};
        const std::string text = co_await output_of("pwd; echo \"$COLOUR\"; echo \"$HOME\"", options);
        EXPECT_EQ(text, where.path() + "\ngreen = blue\n\n");
        options.env = environment::current().set("COLOUR", "red").unset("HOME");
        const std::string changed = co_await output_of("echo \"$COLOUR\"; echo \"$HOME\"; echo \"$PATH\"", options);
        EXPECT_EQ(changed, "red\n\n" + std::string(::getenv("PATH")) + "\n");
        EXPECT_THROW(environment({{"A=B", ""}}), std::invalid_argument);
        EXPECT_THROW(environment({{"", ""}}), std::invalid_argument);
        EXPECT_THROW(environment().set("A", std::string_view("\0", 1)), std::invalid_argument);
    };
    run(main());
}

TEST(subprocess, that_is_dropped_is_killed_and_reaped) {
    auto main = []() -> coro<> {
        pid_t pid = 0;
        {
            auto child = create_subprocess_exec("sleep", {"1000"});
            pid = child.pid();
            EXPECT_TRUE(is_there(pid));
        }
        co_await wait_until_gone(pid);
        EXPECT_FALSE(has_children());
        auto first = create_subprocess_exec("sleep", {"1000"});
        pid = first.pid();
        first = create_subprocess_exec("true");
        co_await wait_until_gone(pid);
        const int code = co_await first.wait();
        EXPECT_EQ(code, 0);
    };
    run(main());
}

TEST(subprocess, of_a_cancelled_coroutine_is_killed) {
    auto main = []() -> coro<> {
        pid_t pid = 0;
        auto work = [&]() -> coro<> {
            auto child = create_subprocess_exec("cat", {}, both_pipes);
            pid = child.pid();
            co_await child.stdout_reader().read(1);
        };
        task<> working = create_task(work());
        for (int i = 0; i < 5; ++i) co_await sleep(0s);
        EXPECT_TRUE(is_there(pid));
        working.cancel();
        co_await wait_until_gone(pid);
        EXPECT_TRUE(working.cancelled());
    };
    run(main());
}

TEST(subprocess, is_killed_and_reaped_when_the_loop_ends) {
    pid_t held = 0;
    std::optional<subprocess> outlives;
    auto main = [&]() -> coro<> {
        outlives = create_subprocess_exec("sleep", {"1000"});
        held = outlives->pid();
        auto dropped = create_subprocess_exec("sleep", {"1000"});
        co_return;
    };
    run(main());
    EXPECT_FALSE(is_there(held));
    EXPECT_FALSE(has_children());
    EXPECT_EQ(outlives->returncode(), -SIGKILL);
    outlives->kill();
    outlives.reset();
}

TEST(subprocess, of_a_new_session_takes_its_group_along) {
    auto main = []() -> coro<> {
        pid_t grandchild = 0;
        {
            auto child = create_subprocess_shell("sleep 1000 & echo $!; wait",
                                                 {.stdout_ = stdio::pipe, .start_new_session = true});
            const std::string line = co_await child.stdout_reader().read_line();
            grandchild = std::stoi(line);
            EXPECT_EQ(::getsid(child.pid()), child.pid());
            EXPECT_TRUE(is_there(grandchild));
        }
        // Whoever adopts orphans reaps it; a zombie has ended as well.
        for (;;) {
            const std::string state =
                co_await output_of("cat /proc/" + std::to_string(grandchild) + "/stat 2>/dev/null | cut -d' ' -f3");
            if (state.empty() || state == "Z\n") break;
        }
    };
    run(main());
}

TEST(subprocess, that_is_left_goes_on_and_is_reaped) {
    auto main = []() -> coro<> {
        pid_t pid = 0;
        std::optional<stream_writer> its_input;
        {
            std::array<int, 2> ends{};
            EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
            auto child = create_subprocess_exec("cat", {}, {.stdin_ = ends[0], .at_end = when_dropped::leave});
            ::close(ends[0]);
            its_input.emplace(connect_write_pipe(ends[1]));
            pid = child.pid();
        }
        co_await sleep(5ms);
        EXPECT_TRUE(is_there(pid));
        its_input.reset();
        co_await wait_until_gone(pid);
    };
    run(main());
    EXPECT_FALSE(has_children());
}

TEST(subprocess, any_number_of_coroutines_wait_and_a_cancelled_wait_changes_nothing) {
    auto main = []() -> coro<> {
        auto child = create_subprocess_exec("cat", {}, both_pipes);
        auto wait = [&]() -> coro<int> { co_return co_await child.wait(); };
        task<int> cancelled = create_task(wait());
        task<int> first = create_task(wait());
        task<int> second = create_task(wait());
        for (int i = 0; i < 5; ++i) co_await sleep(0s);
        cancelled.cancel();
        child.stdin_writer().close();
        const int one = co_await first;
        const int two = co_await second;
        EXPECT_EQ(one + two, 0);
        EXPECT_TRUE(cancelled.cancelled());
    };
    run(main());
}

TEST(subprocess, many_run_at_once) {
    const auto before = open_descriptors();
    auto main = []() -> coro<> {
        auto one = [](int number) -> coro<> {
            auto child = create_subprocess_shell("cat; exit " + std::to_string(number % 100), both_pipes);
            const std::string input = std::to_string(number);
            const auto output = co_await child.communicate(input);
            EXPECT_EQ(output.stdout_, input);
            EXPECT_EQ(child.returncode(), number % 100);
        };
        std::vector<coro<>> all;
        for (int i = 0; i < 40; ++i) all.push_back(one(i));
        co_await gather(std::move(all));
    };
    run(main());
    EXPECT_EQ(open_descriptors(), before);
    EXPECT_FALSE(has_children());
}

TEST(subprocess, that_somebody_else_has_reaped_is_an_error_and_no_hang) {
    auto main = []() -> coro<> {
        const auto usual = ::signal(SIGCHLD, SIG_IGN);  // the kernel reaps
        auto child = create_subprocess_exec("true");
        try {
            co_await child.wait();
            ADD_FAILURE();
        } catch (const std::system_error& error) {
            EXPECT_EQ(error.what(), "wait for true (pid " + std::to_string(child.pid()) + "): No child processes");
        }
        ::signal(SIGCHLD, usual);
    };
    run(main());
}

TEST(subprocess, works_in_a_storm_of_signals) {
    struct sigaction nothing {};
    struct sigaction usual {};
    nothing.sa_handler = [](int) {};
    ASSERT_EQ(::sigaction(SIGALRM, &nothing, &usual), 0);  // without SA_RESTART
    const itimerval often{{0, 300}, {0, 300}};
    ASSERT_EQ(::setitimer(ITIMER_REAL, &often, nullptr), 0);
    auto main = []() -> coro<> {
        for (int i = 0; i < 10; ++i) {
            auto child = create_subprocess_exec("cat", {}, both_pipes);
            const std::string input(300'000, 'x');
            const auto output = co_await child.communicate(input);
            EXPECT_TRUE(output.stdout_ == input);
        }
    };
    run(main());
    const itimerval never{};
    ::setitimer(ITIMER_REAL, &never, nullptr);
    ::sigaction(SIGALRM, &usual, nullptr);
}
