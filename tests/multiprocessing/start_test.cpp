#include <tercet/multiprocessing.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>

#include <array>
#include <string>
#include <vector>

#include "process_probe.hpp"
#include "sanitizers.hpp"

namespace tercet::multiprocessing {
namespace {

std::string output_of(const std::string& arguments, start_method method = start_method::forkserver) {
    std::string command = "TERCET_VICTIM_START=";
    command.append(to_string(method)).append(" ").append(TERCET_VICTIM).append(" ").append(arguments).append(" 2>&1");
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe(::popen(command.c_str(), "r"), &::pclose);
    std::string text;
    std::array<char, 512> part{};
    while (std::fgets(part.data(), static_cast<int>(part.size()), pipe.get())) text += part.data();
    return text;
}

/// A victim whose descendants are busy, in a process group of its own, with what all of them write.
class busy_victim {
public:
    busy_victim(const char* what, start_method method, int descendants = 3) {
        std::string program = TERCET_VICTIM;
        std::string mode = what;
        std::string path = post_.path();
        char* const arguments[] = {program.data(), mode.data(), path.data(), nullptr};
        ::setenv("TERCET_VICTIM_START", std::string(to_string(method)).c_str(), 1);
        int output[2];
        EXPECT_EQ(::pipe2(output, O_CLOEXEC), 0);
        posix_spawn_file_actions_t files;
        ::posix_spawn_file_actions_init(&files);
        ::posix_spawn_file_actions_adddup2(&files, output[1], STDOUT_FILENO);
        ::posix_spawn_file_actions_adddup2(&files, output[1], STDERR_FILENO);
        posix_spawnattr_t group;
        ::posix_spawnattr_init(&group);
        ::posix_spawnattr_setflags(&group, POSIX_SPAWN_SETPGROUP);
        EXPECT_EQ(::posix_spawn(&pid_, program.c_str(), &files, &group, arguments, environ), 0);
        ::posix_spawnattr_destroy(&group);
        ::posix_spawn_file_actions_destroy(&files);
        ::close(output[1]);
        output_ = output[0];
        for (int i = 0; i < descendants; ++i) descendants_.emplace_back(post_.next());
    }
    busy_victim(const busy_victim&) = delete;
    busy_victim& operator=(const busy_victim&) = delete;
    ~busy_victim() { ::close(output_); }

    pid_t pid() const { return pid_; }
    /// The status of waitpid(2), once it has ended.
    int wait() const {
        int status = 0;
        ::waitpid(pid_, &status, 0);
        return status;
    }
    void expect_no_descendant() const {
        for (const auto& each : descendants_) EXPECT_TRUE(each.ends_within(2'000));
    }
    /// What it and its descendants have written, when none has the pipe any more.
    std::string output() const {
        std::string text;
        std::array<char, 512> part{};
        for (ssize_t count = 0; (count = ::read(output_, part.data(), part.size())) > 0;)
            text.append(part.data(), static_cast<std::size_t>(count));
        return text;
    }

private:
    signpost post_;
    pid_t pid_ = 0;
    int output_ = -1;
    std::vector<process_watch> descendants_;
};

/// Kills a victim whose descendants are busy, and expects them to end.
void expect_no_descendant_after_death(const char* what, start_method method, int descendants = 3) {
    const busy_victim victim(what, method, descendants);
    ::kill(victim.pid(), SIGKILL);
    victim.wait();
    victim.expect_no_descendant();
}

/// What holds for each way to start processes.
class start_by : public testing::TestWithParam<start_method> {
protected:
    void SetUp() override {
        if (is_under_thread_sanitizer && GetParam() == start_method::fork)
            GTEST_SKIP() << "it knows no threads in a copy of a process that had several";
    }
};
INSTANTIATE_TEST_SUITE_P(methods, start_by, testing::ValuesIn(get_all_start_methods()),
                         [](const auto& each) { return std::string(to_string(each.param)); });

TEST_P(start_by, a_killed_parent_leaves_no_descendant) { expect_no_descendant_after_death("busy", GetParam()); }

TEST_P(start_by, a_killed_parent_leaves_no_process_of_its_own) {
    expect_no_descendant_after_death("processes", GetParam());
}

TEST_P(start_by, a_killed_parent_leaves_no_program_that_its_workers_have_started) {
    if (GetParam() == start_method::fork) GTEST_SKIP() << "nobody is left who could end them";
    expect_no_descendant_after_death("programs", GetParam(), 4);
}

TEST_P(start_by, a_group_that_is_killed_leaves_no_program_that_its_workers_have_started) {
    if (GetParam() == start_method::fork) GTEST_SKIP() << "nobody is left who could end them";
    const busy_victim victim("programs", GetParam(), 4);
    ::kill(-victim.pid(), SIGKILL);
    victim.wait();
    victim.expect_no_descendant();
}

TEST_P(start_by, a_call_that_reads_from_the_terminal_is_refused_and_does_not_stand_still) {
    int terminal = -1;
    ::setenv("TERCET_VICTIM_START", std::string(to_string(GetParam())).c_str(), 1);
    const pid_t victim = ::forkpty(&terminal, nullptr, nullptr, nullptr);
    if (victim == 0) {
        ::execl(TERCET_VICTIM, TERCET_VICTIM, "terminal", nullptr);
        ::_exit(127);
    }
    std::string text;
    std::array<char, 64> part{};
    for (ssize_t count = 0; (count = ::read(terminal, part.data(), part.size())) > 0;)
        text.append(part.data(), static_cast<std::size_t>(count));
    ::close(terminal);
    int status = 0;
    ::waitpid(victim, &status, 0);
    EXPECT_EQ(text, "Input/output error\r\n");
}

TEST_P(start_by, processes_are_in_the_group_of_their_program) {
    EXPECT_EQ(output_of("groups", GetParam()), "process: same, worker: other\n");
}

TEST_P(start_by, a_parent_that_ends_without_a_word_leaves_no_descendant) {
    for (const char* const how : {"_exit", "quick_exit", "abort"})
        for (const char* const what : {"busy", "processes"}) {
            ::setenv("TERCET_VICTIM_ENDS_BY", how, 1);
            const busy_victim victim(what, GetParam());
            ::unsetenv("TERCET_VICTIM_ENDS_BY");
            ::kill(victim.pid(), SIGUSR1);
            const int status = victim.wait();
            if (std::string_view(how) == "abort")
                EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT) << how << ' ' << what;
            else
                EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 7) << how << ' ' << what;
            victim.expect_no_descendant();
        }
}

TEST_P(start_by, an_interrupt_of_the_whole_group_ends_everything_without_noise) {
    for (const char* const what : {"busy", "processes"}) {
        const busy_victim victim(what, GetParam());
        ::kill(-victim.pid(), SIGINT);
        const int status = victim.wait();
        EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT) << what;
        victim.expect_no_descendant();
        EXPECT_EQ(victim.output(), "") << what;
    }
}

TEST_P(start_by, a_program_that_ends_while_its_pool_starts_does_its_calls_first) {
    EXPECT_EQ(output_of("'at once'", GetParam()), "done\ndone\ndone\n");
}

TEST_P(start_by, functions_of_the_end_of_a_program_may_use_a_pool_that_is_still_there) {
    EXPECT_EQ(output_of("'at exit'", GetParam()), "42\nprocess_pool_executor: submit after shutdown\n");
}

TEST_P(start_by, a_program_ends_though_a_pool_that_it_does_not_wait_for_loses_its_workers) {
    EXPECT_EQ(output_of("'crash and leave'", GetParam()), "main returns\n");
}

TEST_P(start_by, a_pool_works_where_others_wait_for_all_children) {
    EXPECT_EQ(output_of("reap", GetParam()), "4952\n4952\n");
}

TEST(start, a_killed_parent_leaves_no_server_that_is_busy_with_its_preload) {
    expect_no_descendant_after_death("preload", start_method::forkserver, 1);
}

TEST_P(start_by, the_end_of_a_program_waits_for_processes_and_ends_daemons) {
    EXPECT_EQ(output_of("leave", GetParam()), "main returns\nlast\n");
}

TEST_P(start_by, processes_start_processes_as_deep_as_the_limit) {
    EXPECT_THAT(output_of("'deep processes'", GetParam()),
                testing::MatchesRegex("4: process 'Process-1:1:1:1:1': processes are nested 4 deep, the limit: .*\n"));
}

TEST_P(start_by, statics_are_made_once_and_main_is_not_entered) {
    if (GetParam() == start_method::fork) GTEST_SKIP() << "main goes on in the parent";
    EXPECT_EQ(output_of("look", GetParam()),
              "constructed, 1 time, main entered, not a worker, unmarked\n"
              "constructed, 1 time, main skipped, worker, unmarked\n");
}

TEST(start, a_forked_worker_has_what_the_program_has) {
    if (is_under_thread_sanitizer) GTEST_SKIP() << "it knows no threads in a copy of a process that had several";
    EXPECT_EQ(output_of("look", start_method::fork),
              "constructed, 1 time, main entered, not a worker, unmarked\n"
              "constructed, 1 time, main entered, worker, unmarked\n");
}

TEST_P(start_by, pools_in_workers_work_as_deep_as_the_limit) {
    EXPECT_THAT(output_of("deep", GetParam()),
                testing::StartsWith("4: process_pool_executor: pools are nested 4 deep"));
}

TEST_P(start_by, static_pools_of_workers_do_not_disturb_each_other) {
    EXPECT_EQ(output_of("nested", GetParam()), "4000\n");
}

TEST(start, a_server_that_answers_nobody_is_given_up_and_killed) {
    EXPECT_EQ(output_of("stuck"),
              "process_pool_executor: the fork server did not answer within 100 ms\nno child is left\n");
}

TEST(start, a_mark_left_over_by_others_is_not_an_order) {
    EXPECT_FALSE(in_worker());
    // A program that has by chance what a fork server inherits: a socket as 3 and the pidfd of a living process as 4.
    int sockets[2];
    int output[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
    ASSERT_EQ(::pipe2(output, O_CLOEXEC), 0);
    posix_spawn_file_actions_t files;
    ::posix_spawn_file_actions_init(&files);
    const int ours[] = {::fcntl(sockets[0], F_DUPFD_CLOEXEC, 16),
                        static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)),
                        ::fcntl(output[1], F_DUPFD_CLOEXEC, 16)};
    ::posix_spawn_file_actions_adddup2(&files, ours[2], STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&files, ours[1], 4);
    ::posix_spawn_file_actions_adddup2(&files, ours[0], 3);
    std::string program = TERCET_VICTIM;
    std::string mode = "look";
    char* const arguments[] = {program.data(), mode.data(), nullptr};
    ::setenv("TERCET_FORK_SERVER", "1:17:abc:0:17:0", 1);
    pid_t pid = 0;
    const int error = ::posix_spawn(&pid, program.c_str(), &files, nullptr, arguments, environ);
    ::unsetenv("TERCET_FORK_SERVER");
    ::posix_spawn_file_actions_destroy(&files);
    for (const int fd : {ours[0], ours[1], ours[2], sockets[0], sockets[1], output[1]}) ::close(fd);
    ASSERT_EQ(error, 0);
    std::array<char, 256> text{};
    EXPECT_GT(::read(output[0], text.data(), text.size() - 1), 0);
    EXPECT_THAT(text.data(), testing::StartsWith("constructed, 1 time, main entered, not a worker"));
    ::waitpid(pid, nullptr, 0);
    ::close(output[0]);
}

TEST(start, a_forked_copy_makes_pools_of_its_own) {
    if (is_under_thread_sanitizer) GTEST_SKIP() << "it knows no threads in a copy of a process that had several";
    EXPECT_EQ(output_of("fork"), "42, 17\n");
}

TEST_P(start_by, what_a_worker_prints_appears_once) {
    EXPECT_EQ(output_of("print", GetParam()), "from a worker\nbefore\n");
}

TEST_P(start_by, a_process_prints_what_it_has_and_ends_nothing_of_its_parent) {
    ::setenv("TERCET_VICTIM_SAYS_FAREWELL", "1", 1);
    const std::string output = output_of("'print in a process'", GetParam());
    ::unsetenv("TERCET_VICTIM_SAYS_FAREWELL");
    EXPECT_EQ(output, GetParam() == start_method::fork ? "from a process\nbefore\nat the end\n"
                                                       : "from a process\nat the end\nbefore\nat the end\n");
}

TEST_P(start_by, works_with_standard_streams_closed) {
    ::setenv("TERCET_VICTIM_START", std::string(to_string(GetParam())).c_str(), 1);
    for (const char* const closed : {"<&-", ">&-", "2>&-", "<&- >&- 2>&-"}) {
        std::string command = TERCET_VICTIM;
        command.append(" print >/dev/null ").append(closed);
        EXPECT_EQ(std::system(command.c_str()), 0) << closed;
    }
}

}  // namespace
}  // namespace tercet::multiprocessing
