// What the calls of a worker have started with posix_spawn, system and the like: it goes with a worker that is killed,
// stays when a worker leaves, and is left alone in a session of its own.

#include <tercet/multiprocessing.hpp>

#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "process_probe.hpp"
#include "start_method_case.hpp"

namespace tercet::multiprocessing {
namespace {

using namespace std::chrono_literals;

enum class session { same, own };

/// The pid of a program that sleeps.
int start_sleeper(session where) {
    std::string program = "/bin/sleep";
    std::string time = "1000";
    char* const arguments[] = {program.data(), time.data(), nullptr};
    posix_spawnattr_t how;
    ::posix_spawnattr_init(&how);
    if (where == session::own) ::posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSID);
    pid_t pid = 0;
    const int error = ::posix_spawn(&pid, program.c_str(), nullptr, &how, arguments, environ);
    ::posix_spawnattr_destroy(&how);
    if (error != 0) throw std::runtime_error("posix_spawn");
    return pid;
}

void start_sleeper_and_crash(const std::string& signpost_path, session where) {
    signpost::write(signpost_path, start_sleeper(where));
    ::raise(SIGSEGV);
}
void start_sleeper_and_wait(const std::string& signpost_path) {
    signpost::write(signpost_path, start_sleeper(session::same));
    for (;;) ::pause();
}

/// Ends a sleeper that nobody else does.
class sleeper {
public:
    explicit sleeper(pid_t pid) : pid_(pid), watch_(pid) { EXPECT_EQ(::kill(pid, 0), 0); }
    sleeper(const sleeper&) = delete;
    sleeper& operator=(const sleeper&) = delete;
    ~sleeper() {
        if (!watch_.ends_within(0)) ::kill(pid_, SIGKILL);
    }
    bool ends_within(int milliseconds) const { return watch_.ends_within(milliseconds); }

private:
    pid_t pid_;
    process_watch watch_;
};

class process_pool_descendants : public start_methods {};
INSTANTIATE_TEST_SUITE_P(methods, process_pool_descendants, testing::ValuesIn(get_all_start_methods()),
                         name_of_start_method);

}  // namespace

TEST_P(process_pool_descendants, go_with_a_worker_that_crashes) {
    const signpost post;
    process_pool_executor pool({.max_workers = 1, .start_method = GetParam()});
    auto work = pool.submit(&start_sleeper_and_crash, post.path(), session::same);
    const process_watch started(post.next());
    EXPECT_THROW(work.result(), worker_died);
    EXPECT_TRUE(started.ends_within(10'000));
}

TEST_P(process_pool_descendants, go_with_a_worker_whose_time_has_passed) {
    const signpost post;
    process_pool_executor pool({.max_workers = 1, .start_method = GetParam()});
    auto work = pool.submit({.timeout = 300ms}, &start_sleeper_and_wait, post.path());
    const process_watch started(post.next());
    EXPECT_THROW(work.result(), timeout_error);
    EXPECT_TRUE(started.ends_within(10'000));
}

TEST_P(process_pool_descendants, go_with_a_pool_that_is_killed) {
    const signpost post;
    process_pool_executor pool({.max_workers = 1, .start_method = GetParam()});
    auto work = pool.submit(&start_sleeper_and_wait, post.path());
    const process_watch started(post.next());
    pool.kill_workers();
    EXPECT_TRUE(work.wait(10s));
    work.state().mark_read();
    EXPECT_TRUE(started.ends_within(10'000));
}

TEST_P(process_pool_descendants, stay_when_a_worker_leaves_after_its_calls) {
    process_pool_executor pool({.max_workers = 1, .start_method = GetParam(), .max_tasks_per_child = 1});
    const int first_worker = pool.submit(&::getpid).result();
    const sleeper started(pool.submit(&start_sleeper, session::same).result());
    const int third_worker = pool.submit(&::getpid).result();
    EXPECT_NE(first_worker, third_worker);
    pool.shutdown();
    EXPECT_FALSE(started.ends_within(0));
}

TEST_P(process_pool_descendants, stay_in_a_session_of_their_own) {
    const signpost post;
    process_pool_executor pool({.max_workers = 1, .start_method = GetParam()});
    auto work = pool.submit(&start_sleeper_and_crash, post.path(), session::own);
    const sleeper started(post.next());
    EXPECT_THROW(work.result(), worker_died);
    EXPECT_EQ(pool.submit(&::getppid).result(), pool.submit(&::getppid).result());
    EXPECT_FALSE(started.ends_within(0));
}

}  // namespace tercet::multiprocessing
