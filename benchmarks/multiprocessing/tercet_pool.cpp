#include <tercet/asyncio.hpp>
#include <tercet/multiprocessing.hpp>

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <deque>
#include <numeric>
#include <ranges>

#include "named_pipe.hpp"
#include "processes.hpp"
#include "work.hpp"

namespace tercet::benchmarks {

namespace {

using multiprocessing::process_pool_executor;
using multiprocessing::shared_array;

// What workers are called with.

long calls_here = 0;

void count_call() { ++calls_here; }

struct worker_report {
    pid_t pid;
    long calls;
};

worker_report report_together(const std::string& path, bool is_first) {
    meet(path, is_first);
    return {.pid = ::getpid(), .calls = calls_here};
}

pid_t own_pid() { return ::getpid(); }

void hold(const std::string& path) {
    tell_pid(path);
    std::this_thread::sleep_for(std::chrono::hours(1));
}

int next_number(int i) { return i + 1; }

std::vector<double> change_ends(std::vector<double> array) {
    ++array.front();
    ++array.back();
    return array;
}

/// How many calls both workers counted; each answers.
long ask_both(process_pool_executor& pool, const named_pipe& pipe) {
    auto first = pool.submit(report_together, pipe.path(), true);
    auto second = pool.submit(report_together, pipe.path(), false);
    const auto [pid, count] = first.result();
    const auto [other_pid, other_count] = second.result();
    check(pid != other_pid, "one worker answered twice");
    return count + other_count;
}

class pool_of_two : public process_pool_executor {
public:
    pool_of_two() : process_pool_executor(2) { check(counted_calls() == 0, "calls before the first"); }
    long counted_calls() { return ask_both(*this, pipe_); }

private:
    named_pipe pipe_;
};

double start() {
    const large_parent parent;
    const named_pipe pipe;
    const auto from = clock::now();
    process_pool_executor pool(2);
    ask_both(pool, pipe);
    return milliseconds_since(from);
}

/// A pool whose workers, two and those that come later, are all held by calls that do not end.
class held_pool {
public:
    explicit held_pool(std::size_t max_workers) : pool(max_workers) {
        for (int i = 0; i < 2; ++i) hold_one();
    }
    held_pool(const held_pool&) = delete;
    held_pool& operator=(const held_pool&) = delete;
    ~held_pool() {
        multiprocessing::terminate_all();
        for (auto& each : held_calls) each.exception();  // which somebody has to read
    }

    void hold_one() {
        held_calls.push_back(pool.submit(hold, pipe.path()));
        pids.push_back(reader.next());
    }

    named_pipe pipe;
    pid_reader reader{pipe.path()};
    process_pool_executor pool;
    std::vector<future<void>> held_calls;
    std::deque<pid_t> pids;
};

double add_worker() {
    constexpr std::size_t count = 10;
    const large_parent parent;
    held_pool held(2 + count);
    std::vector<double> took;
    for (std::size_t i = 0; i < count; ++i) {
        const auto from = clock::now();
        const pid_t pid = held.pool.submit(own_pid).result();
        took.push_back(milliseconds_since(from));
        held.hold_one();
        check(pid == held.pids.back(), "a worker that was held has answered");
    }
    return median_of(std::move(took));
}

double rtt() {
    pool_of_two pool;
    const double took = time_round_trips([&] { pool.submit(count_call).result(); });
    check(pool.counted_calls() == round_trips / 10 + round_trips, "how many calls were made");
    return took;
}

asyncio::coro<double> await_round_trips(process_pool_executor& pool) {
    for (int i = 0; i < round_trips / 10; ++i) co_await pool.submit(next_number, i);
    const auto from = clock::now();
    for (int i = 0; i < round_trips; ++i) {
        const int next = co_await pool.submit(next_number, i);
        check(next == i + 1, "an answer");
    }
    co_return nanoseconds(from, clock::now()) / 1e3 / static_cast<double>(round_trips);
}

/// us for a coroutine that awaits call after call; loop and workers sleep in between.
double rtt_awaited() {
    pool_of_two pool;
    return asyncio::run(await_round_trips(pool));
}

double rtt_idle() {
    pool_of_two pool;
    const double took = time_idle_round_trips([&] { pool.submit(count_call).result(); });
    check(pool.counted_calls() == 310, "how many calls were made");
    return took;
}

double tput() {
    pool_of_two pool;
    const auto pass = [&](long count) {
        std::vector<decltype(pool.submit(count_call))> futures;
        futures.reserve(static_cast<std::size_t>(count));
        const auto from = clock::now();
        for (long i = 0; i < count; ++i) futures.push_back(pool.submit(count_call));
        for (auto& each : futures) each.result();
        return nanoseconds(from, clock::now()) / 1e3 / static_cast<double>(count);
    };
    pass(calls / 10);
    const double took = pass(calls);
    check(pool.counted_calls() == calls / 10 + calls, "how many calls were made");
    return took;
}

double tput_map() {
    pool_of_two pool;
    double took = 0;
    for (int pass = 0; pass < 2; ++pass) {
        bool is_right = true;
        int count = 0;
        const auto from = clock::now();
        for (const int each : pool.map(next_number, std::views::iota(0, static_cast<int>(calls))))
            is_right &= each == ++count;
        took = nanoseconds(from, clock::now()) / 1e3 / static_cast<double>(calls);
        check(is_right && count == calls, "an item of the map");
    }
    return took;
}

double array_copy() {
    pool_of_two pool;
    return time_array_copy([&](const std::vector<double>& array) { return pool.submit(change_ends, array).result(); });
}

/// us that two calls, which sum a half each where it lies, take longer than the longer of the two sums; the median of
/// 5, after one. That a worker's first look at a page is slow is part of the sum.
double array_shared(std::size_t size) {
    const auto sum_half = [](const shared_array<const double>& array, bool second) {
        const auto half = array.span().subspan(second ? array.size() / 2 : 0, array.size() / 2);
        return std::accumulate(half.begin(), half.end(), 0.0);
    };
    pool_of_two pool;
    shared_array<double> array(size / sizeof(double));
    std::fill(array.begin(), array.end(), 1.0);
    std::vector<double> took;
    for (int pass = 0; pass < 6; ++pass) {
        const auto from = clock::now();
        auto first = pool.submit_measured(sum_half, shared_array<const double>(array), false);
        auto second = pool.submit_measured(sum_half, shared_array<const double>(array), true);
        const auto [first_statistics, first_sum] = first.result();
        const auto [second_statistics, second_sum] = second.result();
        const double all = nanoseconds(from, clock::now());
        const auto sums = static_cast<double>(std::max(first_statistics.ran, second_statistics.ran).count());
        if (pass != 0) took.push_back((all - sums) / 1e3);
        check(first_sum + second_sum == static_cast<double>(array.size()), "a sum");
    }
    return median_of(std::move(took));
}
double array_shared_100M() { return array_shared(100'000'000); }
double array_shared_4G() { return array_shared(std::size_t{4} << 30U); }

double sqrt4() {
    pool_of_two pool;
    return time_sqrt4([&](long n) {
        std::vector<decltype(pool.submit(sum_of_roots, n))> sums;
        for (int i = 0; i < 4; ++i) sums.push_back(pool.submit(sum_of_roots, n));
        double sum = 0;
        for (auto& each : sums) sum += each.result();
        return sum;
    });
}

double idle() {
    pool_of_two pool;
    return idle_cpu(family_of(::getpid()));
}

double idle_memory() {
    pool_of_two pool;
    const auto pids = pool.worker_pids();
    check(pids.size() == 2, "how many workers there are");
    return private_memory(pids);
}

double recover() {
    constexpr std::size_t kills = 10;
    held_pool held(2);
    std::vector<double> took;
    for (std::size_t i = 0; i < kills; ++i) {
        auto next = held.pool.submit(own_pid);
        const pid_t victim = held.pids.front();
        held.pids.pop_front();
        const auto from = clock::now();
        ::kill(victim, SIGKILL);
        const pid_t pid = next.result();
        took.push_back(milliseconds_since(from));
        held.hold_one();
        check(pid == held.pids.back(), "a worker that was held has answered");
    }
    std::size_t lost = 0;
    for (auto& each : held.held_calls) {
        if (!each.done()) continue;
        try {
            each.result();
        } catch (const multiprocessing::worker_died&) {
            ++lost;
        }
    }
    check(lost == kills, "how many calls were lost");
    return median_of(std::move(took));
}

const contender here("tercet", {{"start", start},
                                {"add_worker", add_worker},
                                {"rtt", rtt},
                                {"rtt_idle", rtt_idle},
                                {"tput", tput},
                                {"rtt_awaited", rtt_awaited},
                                {"tput_map", tput_map},
                                {"array_copy", array_copy},
                                {"array_shared_100M", array_shared_100M},
                                {"array_shared_4G", array_shared_4G},
                                {"sqrt4", sqrt4},
                                {"idle", idle},
                                {"idle_memory", idle_memory},
                                {"recover", recover}});

}  // namespace

}  // namespace tercet::benchmarks
