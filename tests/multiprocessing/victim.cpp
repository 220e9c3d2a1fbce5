// The other process of start_test.cpp: does what its first argument says, and is killed, counted or asked.

#include <tercet/multiprocessing.hpp>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "process_probe.hpp"

namespace tercet::multiprocessing {
namespace {

/// Counts how often static objects are made in a process.
struct counted {
    counted() { ++count; }
    static inline int count = 0;
    std::string text = "constructed";
};
const counted once;

/// A pool among the static objects: costs nothing until it is used, here as in workers.
process_pool_executor global_pool(1);

/// Static objects of a fork server that never finish, if asked for.
const bool stuck = [] {
    while (in_worker() && std::getenv("TERCET_VICTIM_IS_STUCK")) ::pause();
    return false;
}();

/// Says that static objects are destroyed, in a program that was asked to print.
const struct farewell {
    ~farewell() {
        if (is_wanted) std::printf("at the end\n");
    }
    bool is_wanted = std::getenv("TERCET_VICTIM_SAYS_FAREWELL") != nullptr;
} says_farewell;

bool main_was_entered = false;

void spin(const std::string& signpost_path) {
    signpost::write(signpost_path, ::getpid());
    for (std::atomic<unsigned> turns = 0;;) ++turns;
}

/// Keeps workers busy, two of its own and one of a pool in a worker, and waits to be killed.
int keep_busy(const std::string& signpost_path) {
    process_pool_executor pool(3);
    auto first = pool.submit(spin, signpost_path);
    auto second = pool.submit(spin, signpost_path);
    auto nested = pool.submit(
        [](const std::string& path) {
            process_pool_executor inner(1);
            inner.submit(spin, path).result();
        },
        signpost_path);
    nested.wait();
    return 1;
}

/// Keeps two workers busy that have started a program each, and waits to be killed.
int keep_programs_busy(const std::string& signpost_path) {
    process_pool_executor pool(2);
    const auto start_and_spin = [](const std::string& path) {
        const pid_t program = ::fork();
        if (program == 0) {
            ::execl("/bin/sleep", "sleep", "1000", nullptr);
            ::_exit(127);
        }
        signpost::write(path, program);
        spin(path);
    };
    auto first = pool.submit(start_and_spin, signpost_path);
    auto second = pool.submit(start_and_spin, signpost_path);
    first.wait();
    return 1;
}

/// What a worker that reads from the terminal is told.
int read_terminal() {
    process_pool_executor pool(1);
    const int error = pool.submit([] {
                              const int terminal = ::open("/dev/tty", O_RDONLY | O_CLOEXEC);
                              char letter = 0;
                              return terminal < 0 || ::read(terminal, &letter, 1) < 0 ? errno : 0;
                          })
                          .result();
    std::printf("%s\n", std::strerror(error));
    return 0;
}

/// Says whether processes and workers are in the group of this one.
int say_groups() {
    auto [here, there] = pipe();
    process child([](connection line) { line.send(static_cast<int>(::getpgrp())); }, std::move(there));
    child.start();
    const int of_process = here.recv<int>();
    child.join();
    process_pool_executor pool(1);
    const int of_worker = pool.submit(::getpgrp).result();
    std::printf("process: %s, worker: %s\n", of_process == ::getpgrp() ? "same" : "other",
                of_worker == ::getpgrp() ? "same" : "other");
    return 0;
}

/// Keeps processes of each kind busy, and waits to be killed.
int keep_processes_busy(const std::string& signpost_path) {
    process plain(spin, signpost_path);
    process daemon({.daemon = true}, spin, signpost_path);
    process nested(
        [](const std::string& path) {
            process inner(spin, path);
            inner.start();
            inner.join();
        },
        signpost_path);
    for (process* const each : {&plain, &daemon, &nested}) each->start();
    nested.join();
    return 1;
}

/// Returns from main while processes run: one that is waited for, and goes on when a daemon has ended, which is told
/// to; and a daemon that does not listen.
int leave_processes() {
    static auto [end, hold] = pipe(false);
    static process last(
        [](connection line) {
            try {
                line.recv<int>();
            } catch (const eof_error&) {
                std::printf("last\n");
            }
        },
        end);
    static process daemon(
        {.daemon = true},
        [](connection line) {
            line.send(0);
            for (;;) ::pause();
        },
        hold);
    static process stubborn(
        {.daemon = true},
        [](connection line) {
            std::signal(SIGTERM, SIG_IGN);
            line.send(0);
            line.close();
            if (main_was_entered) ::close_range(3, ~0U, 0);  // a copy of the program has more than it was given
            for (;;) ::pause();
        },
        hold);
    daemon.start();
    stubborn.start();
    hold.close();
    end.recv<int>();
    end.recv<int>();
    last.start();
    std::printf("main returns\n");
    std::fflush(stdout);
    return 0;
}

/// How many processes may start one another, and what the next one says.
void go_down_in_processes(int depth) {
    try {
        process next(go_down_in_processes, depth + 1);
        next.start();
    } catch (const process_start_error& e) {
        std::printf("%d: %s\n", depth, e.what());
    }
}

std::string look_around() {
    return once.text + ", " + std::to_string(counted::count) + " time, main " +
           (main_was_entered ? "entered" : "skipped") + (in_worker() ? ", worker" : ", not a worker") +
           (std::getenv("TERCET_FORK_SERVER") ? ", marked" : ", unmarked");
}

/// How many pools may stand in one another, and what the next one says.
std::string go_down(int depth) {
    try {
        process_pool_executor pool(1);
        return pool.submit(go_down, depth + 1).result();
    } catch (const broken_process_pool& e) {
        return std::to_string(depth) + ": " + e.what();
    }
}

/// A copy of this process leaves the pool alone and makes its own.
int fork_and_go_on() {
    global_pool.submit([] {}).result();
    const pid_t child = ::fork();
    if (child == 0) {
        process_pool_executor own(1);
        const int twice = own.submit([](int x) { return 2 * x; }, 21).result();
        own.shutdown();
        ::_exit(twice);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    std::printf("%d, %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -1,
                global_pool.submit([](int x) { return x; }, 17).result());
    return 0;
}

/// Every worker uses the global pool, one call after the other.
int use_global_pool_in_workers() {
    process_pool_executor pool(4);
    std::vector<future<int>> sums;
    for (int i = 0; i < 4; ++i)
        sums.push_back(pool.submit([] {
            int sum = 0;
            for (int call = 0; call < 1'000; ++call)
                sum += global_pool.submit([](int x) { return x; }, 1).result(std::chrono::seconds(10));
            return sum;
        }));
    int sum = 0;
    for (auto& each : sums) sum += each.result();
    std::printf("%d\n", sum);
    return 0;
}

int wait_for_a_server_that_is_stuck() {
    ::setenv("TERCET_VICTIM_IS_STUCK", "1", 1);
    process_pool_executor pool({.max_workers = 1, .start_timeout = std::chrono::milliseconds(100)});
    auto work = pool.submit([] {});
    try {
        work.result();
    } catch (const broken_process_pool& e) {
        std::puts(e.what());
    }
    std::puts(only_child() == 0 ? "no child is left" : "a child is left");
    return 0;
}

/// Ends as the environment says when SIGUSR1 comes.
void end_on_signal() {
    if (!std::getenv("TERCET_VICTIM_ENDS_BY")) return;
    std::signal(SIGUSR1, [](int) {
        const std::string_view how = std::getenv("TERCET_VICTIM_ENDS_BY");
        if (how == "_exit") ::_exit(7);
        if (how == "quick_exit") std::quick_exit(7);
        std::abort();
    });
}

/// Returns from main while the server of its pool still starts, and calls of it wait.
int return_at_once() {
    for (int i = 0; i < 3; ++i) global_pool.submit([] { std::printf("done\n"); });
    return 0;
}

/// A function of the end of the program calls the pool: a static object, which is there until the end, and one that
/// takes no more calls.
int submit_at_exit() {
    static process_pool_executor ended(1);
    ended.submit([] {}).result();
    ended.shutdown();
    std::atexit([] {
        std::printf("%d\n", global_pool.submit([](int x) { return 2 * x; }, 21).result());
        try {
            ended.submit([] {});
        } catch (const executor_shutdown& e) {
            std::printf("%s\n", e.what());
        }
    });
    return 0;
}

/// Does not wait for its pool, which loses its worker.
int leave_a_pool_that_crashes() {
    set_unread_error_hook([](const std::exception_ptr&, std::string_view) noexcept {});
    static process_pool_executor pool(1);
    pool.submit([] { ::raise(SIGKILL); });
    pool.submit([] { ::raise(SIGKILL); });
    pool.shutdown({.wait = false});
    std::printf("main returns\n");
    return 0;
}

/// Whoever waits for all children may take those of the pool away: a handler of SIGCHLD that does, and a disposition by
/// which the kernel does.
int reap_everything() {
    const auto use_pool = [] {
        process_pool_executor pool(2);
        int sum = 0;
        for (int i = 0; i < 100; ++i) sum += pool.submit([](int x) { return x; }, i).result();
        try {
            pool.submit([] { ::raise(SIGKILL); }).result();
        } catch (const worker_died&) {
            ++sum;
        }
        terminate_all();
        process_pool_executor later(1);
        return sum + later.submit([](int x) { return x; }, 1).result();
    };
    struct sigaction reap {};
    reap.sa_handler = [](int) {
        const int before = errno;
        while (::waitpid(-1, nullptr, WNOHANG) > 0) {
        }
        errno = before;
    };
    reap.sa_flags = SA_RESTART;
    ::sigaction(SIGCHLD, &reap, nullptr);
    std::printf("%d\n", use_pool());
    std::signal(SIGCHLD, SIG_IGN);
    std::printf("%d\n", use_pool());
    return 0;
}

int run(int argc, char** argv) {
    guard(argc, argv);
    end_on_signal();
    main_was_entered = true;
    if (const char* const method = std::getenv("TERCET_VICTIM_START"))
        set_start_method(get_context(method).get_start_method());
    const std::string_view mode = argc > 1 ? argv[1] : "";
    if (mode == "busy") return keep_busy(argv[2]);
    if (mode == "terminal") return read_terminal();
    if (mode == "groups") return say_groups();
    if (mode == "programs") return keep_programs_busy(argv[2]);
    if (mode == "processes") return keep_processes_busy(argv[2]);
    if (mode == "preload") {
        set_forkserver_preload(spin, std::string(argv[2]));
        global_pool.submit([] {}).result();
        return 1;
    }
    if (mode == "leave") return leave_processes();
    if (mode == "deep processes") {
        go_down_in_processes(0);
        return 0;
    }
    if (mode == "look") {
        std::puts(look_around().c_str());
        std::puts(global_pool.submit(look_around).result().c_str());
        return 0;
    }
    if (mode == "deep") {
        std::puts(go_down(0).c_str());
        return 0;
    }
    if (mode == "fork") return fork_and_go_on();
    if (mode == "nested") return use_global_pool_in_workers();
    if (mode == "at once") return return_at_once();
    if (mode == "at exit") return submit_at_exit();
    if (mode == "crash and leave") return leave_a_pool_that_crashes();
    if (mode == "reap") return reap_everything();
    if (mode == "stuck") return wait_for_a_server_that_is_stuck();
    if (mode == "print") {
        std::printf("before\n");  // stays in the buffer until the end, when this is a pipe
        global_pool.submit([] { std::printf("from a worker\n"); }).result();
        return 0;
    }
    if (mode == "print in a process") {
        std::printf("before\n");
        process child([] { std::printf("from a process\n"); });
        child.start();
        child.join();
        return child.exitcode().value();
    }
    return 2;
}

}  // namespace
}  // namespace tercet::multiprocessing

int main(int argc, char** argv) { return tercet::multiprocessing::run(argc, argv); }
