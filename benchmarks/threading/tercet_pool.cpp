#include <tercet/threading/parallel.hpp>
#include <tercet/threading/thread_pool_executor.hpp>

#include "work.hpp"

namespace tercet::benchmarks {

namespace {

struct pool_of_two : threading::thread_pool_executor {
    pool_of_two() : thread_pool_executor(2) {
        start_two_workers([this](auto job) { post(job); });
    }
};

double submit() {
    pool_of_two pool;
    return time_submits([&](long count) {
        for (long i = 0; i < count; ++i) pool.post(count_job);
    });
}

double submit_future() {
    pool_of_two pool;
    return time_futures([&] { return pool.submit(count_job); }, [](auto& future) { future.result(); });
}

double rtt() {
    pool_of_two pool;
    return time_round_trips([&] { pool.submit(count_job).result(); });
}

double rtt_idle() {
    pool_of_two pool;
    return time_idle_round_trips([&] { pool.submit(count_job).result(); });
}

double map_1m() {
    pool_of_two pool;
    return time_map([&](const auto& in, auto& out) {
        threading::parallel_for(pool, 0, in.size(), [&](std::size_t i) { out[i] = square_plus_one(in[i]); });
    });
}

long fib(threading::thread_pool_executor& pool, int n) {
    if (n < 2) return n;
    auto left = pool.fork([&] { return fib(pool, n - 1); });
    const long right = fib(pool, n - 2);
    return left.join() + right;
}

double fib30() {
    pool_of_two pool;
    return time_fib([&](int n) { return pool.submit([&, n] { return fib(pool, n); }).result(); });
}

const contender here("tercet", {{"submit", submit},
                                {"submit_future", submit_future},
                                {"rtt", rtt},
                                {"rtt_idle", rtt_idle},
                                {"map_1M", map_1m},
                                {"fib30", fib30}});

}  // namespace

}  // namespace tercet::benchmarks
