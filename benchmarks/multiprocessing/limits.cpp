// The smallest programs of our own that do the work of a row, with processes that were forked while this one was small.
// rtt spins without end, so it needs a CPU for each process.

#include <tercet/futures/cpu_relax.hpp>

#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <new>
#include <optional>
#include <system_error>

#include "processes.hpp"
#include "work.hpp"

namespace tercet::benchmarks {

namespace {

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

/// Small messages between two processes.
class message_pipe {
public:
    message_pipe() {
        if (::pipe(ends_) != 0) fail("pipe");
    }
    message_pipe(const message_pipe&) = delete;
    message_pipe& operator=(const message_pipe&) = delete;
    ~message_pipe() {
        ::close(ends_[0]);
        ::close(ends_[1]);
    }

    void put(long value) const {
        if (::write(ends_[1], &value, sizeof value) != sizeof value) fail("write to a pipe");
    }
    long get() const {
        long value = 0;
        if (::read(ends_[0], &value, sizeof value) != sizeof value) fail("read from a pipe");
        return value;
    }

private:
    int ends_[2]{};
};

/// A copy of this process that runs `body` and, if that returns, exits; killed at the end.
class child_process {
public:
    template <class Body>
    explicit child_process(Body body) : pid_(::fork()) {
        if (pid_ < 0) fail("fork");
        if (pid_ != 0) return;
        try {
            body();
        } catch (...) {
            ::_exit(1);
        }
        ::_exit(0);
    }
    child_process(const child_process&) = delete;
    child_process& operator=(const child_process&) = delete;
    ~child_process() {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }

    pid_t pid() const { return pid_; }

private:
    pid_t pid_;
};

/// A process that sends back what it gets.
class echo {
public:
    void put(long value) const { there_.put(value); }
    long get() const { return back_.get(); }
    pid_t pid() const { return child_.pid(); }

private:
    message_pipe there_;
    message_pipe back_;
    child_process child_{[this] {
        for (;;) back_.put(there_.get());
    }};
};

// One program is started, and has ended.
double start() {
    const large_parent parent;
    char path[] = "/bin/true";
    char* arguments[] = {path, nullptr};
    const auto from = clock::now();
    pid_t pid = 0;
    if (::posix_spawn(&pid, path, nullptr, nullptr, arguments, ::environ) != 0) fail("posix_spawn");
    int status = 0;
    ::waitpid(pid, &status, 0);
    const double took = milliseconds_since(from);
    check(status == 0, "the status of /bin/true");
    return took;
}

// A small process forks when it is asked to, and the child answers.
double add_worker() {
    const message_pipe requests;
    const message_pipe answers;
    const child_process server([&] {
        for (;;) {
            const long request = requests.get();
            if (::fork() != 0) continue;
            answers.put(request + 1);
            ::_exit(0);
        }
    });
    const large_parent parent;
    std::vector<double> took;
    for (long i = 0; i < 10; ++i) {
        const auto from = clock::now();
        requests.put(i);
        check(answers.get() == i + 1, "an answer");
        took.push_back(milliseconds_since(from));
    }
    return median_of(std::move(took));
}

// A word goes to another process and back; both spin.
double rtt() {
    struct words {
        alignas(64) std::atomic<long> there{0};
        alignas(64) std::atomic<long> back{0};
    };
    void* const memory = ::mmap(nullptr, sizeof(words), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) fail("mmap");
    auto& shared = *new (memory) words;
    const child_process other([&] {
        for (long i = 1;; ++i) {
            while (shared.there.load(std::memory_order_acquire) != i) cpu_relax();
            shared.back.store(i, std::memory_order_release);
        }
    });
    return time_round_trips([&, i = 0L]() mutable {
        shared.there.store(++i, std::memory_order_release);
        while (shared.back.load(std::memory_order_acquire) != i) cpu_relax();
    });
}

double rtt_idle() {
    const echo worker;
    return time_idle_round_trips([&, i = 0L]() mutable {
        worker.put(++i);
        check(worker.get() == i, "an answer");
    });
}

// Two processes, 64 messages on their way to and from each, a system call for each message at each end.
double tput() {
    constexpr long in_flight = 128;
    const std::array<echo, 2> workers;
    const auto pass = [&](long count) {
        const auto from = clock::now();
        for (long i = 0; i < count + in_flight; ++i) {
            const echo& worker = workers[static_cast<std::size_t>(i % 2)];
            if (i >= in_flight) check(worker.get() == i - in_flight, "an answer");
            if (i < count) worker.put(i);
        }
        return nanoseconds(from, clock::now()) / 1e3 / static_cast<double>(count);
    };
    pass(calls / 10);
    return pass(calls);
}

// Two copies, into memory that is there.
double array_copy() {
    std::optional<std::vector<double>> there;
    std::vector<double> back;
    return time_array_copy([&](const std::vector<double>& array) -> const std::vector<double>& {
        if (!there) back = *(there = array);
        const std::size_t size = array.size() * sizeof(double);
        std::memcpy(there->data(), array.data(), size);
        ++there->front();
        ++there->back();
        std::memcpy(back.data(), there->data(), size);
        return back;
    });
}

// Two threads.
double sqrt4() {
    return time_sqrt4([](long n) {
        std::array<double, 2> sums{};
        {
            std::array<std::jthread, 2> threads;
            for (std::size_t i = 0; i < threads.size(); ++i)
                threads[i] = std::jthread([&, i] {
                    const double first = sum_of_roots(n);
                    sums[i] = first + sum_of_roots(n);
                });
        }
        return sums[0] + sums[1];
    });
}

double idle_memory() {
    const echo worker;
    worker.put(1);
    check(worker.get() == 1, "an answer");
    return private_memory({worker.pid()});
}

// A small process waits for the end of its child, and forks the next.
double recover() {
    const message_pipe pids;
    const child_process server([&] {
        for (;;) {
            const pid_t child = ::fork();
            if (child == 0) {
                pids.put(::getpid());
                for (;;) ::pause();
            }
            ::waitpid(child, nullptr, 0);
        }
    });
    std::vector<double> took;
    auto victim = static_cast<pid_t>(pids.get());
    for (int i = 0; i < 10; ++i) {
        const auto from = clock::now();
        ::kill(victim, SIGKILL);
        victim = static_cast<pid_t>(pids.get());
        took.push_back(milliseconds_since(from));
    }
    ::kill(server.pid(), SIGSTOP);  // so that it forks no other
    ::kill(victim, SIGKILL);
    return median_of(std::move(took));
}

const contender here(limit, {{"start", start},
                             {"add_worker", add_worker},
                             {"rtt", rtt},
                             {"rtt_idle", rtt_idle},
                             {"tput", tput},
                             {"array_copy", array_copy},
                             {"sqrt4", sqrt4},
                             {"idle_memory", idle_memory},
                             {"recover", recover}});

}  // namespace

}  // namespace tercet::benchmarks
