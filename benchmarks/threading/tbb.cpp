// oneTBB. It has as many workers as there are CPUs, less one, unless it is told otherwise. For jobs from outside: two
// workers, none of them the caller. For loops and recursion: two threads, one of them the caller, as TBB does it.

#include <oneapi/tbb/blocked_range.h>
#include <oneapi/tbb/concurrent_queue.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_group.h>

#include "work.hpp"

namespace tercet::benchmarks {

namespace {

namespace tbb = oneapi::tbb;

struct two_workers {
    tbb::global_control threads{tbb::global_control::max_allowed_parallelism, 3};
    tbb::task_arena arena{2, 0};

    two_workers() {
        start_two_workers([this](auto job) { arena.enqueue(job); });
    }
    std::future<void> submit() {
        promised_job job;
        auto future = job.promise.get_future();
        arena.enqueue(std::move(job));
        return future;
    }
};

double submit() {
    two_workers pool;
    return time_submits([&](long count) {
        for (long i = 0; i < count; ++i) pool.arena.enqueue([] { count_job(); });
    });
}

double submit_future() {
    two_workers pool;
    return time_futures([&] { return pool.submit(); }, [](auto& future) { future.get(); });
}

double rtt() {
    two_workers pool;
    return time_round_trips([&] { pool.submit().get(); });
}

double rtt_idle() {
    two_workers pool;
    return time_idle_round_trips([&] { pool.submit().get(); });
}

double map_1m() {
    tbb::task_arena arena(2);
    return time_map([&](const auto& in, auto& out) {
        arena.execute([&] {
            tbb::parallel_for(tbb::blocked_range<std::size_t>(0, in.size()), [&](const auto& range) {
                for (std::size_t i = range.begin(); i < range.end(); ++i) out[i] = square_plus_one(in[i]);
            });
        });
    });
}

long fib(int n) {
    if (n < 2) return n;
    long left = 0;
    tbb::task_group group;
    group.run([&] { left = fib(n - 1); });
    const long right = fib(n - 2);
    group.wait();
    return left + right;
}

double fib30() {
    tbb::task_arena arena(2);
    return time_fib([&](int n) { return arena.execute([n] { return fib(n); }); });
}

struct queue {
    tbb::concurrent_bounded_queue<long> items;

    explicit queue(int capacity) { items.set_capacity(capacity); }
    void put(long item) { items.push(item); }
    long get() {
        long item = 0;
        items.pop(item);
        return item;
    }
};

const contender here("tbb", {{"submit", submit},
                             {"submit_future", submit_future},
                             {"rtt", rtt},
                             {"rtt_idle", rtt_idle},
                             {"map_1M", map_1m},
                             {"fib30", fib30},
                             {"queue_stream", time_stream<queue>},
                             {"queue_pingpong", time_pingpong<queue>}});

}  // namespace

}  // namespace tercet::benchmarks
