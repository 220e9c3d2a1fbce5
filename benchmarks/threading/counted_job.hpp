#pragma once

#include <atomic>

namespace tercet::benchmarks {

/// How often one thread ran `count_job`.
struct alignas(64) job_counter {
    std::atomic<long> value{0};
};

extern constinit thread_local job_counter* job_counter_here;

/// A counter of this thread's own, until the thread ends. Counters keep what they counted.
job_counter& claim_job_counter();

/// The empty job of all contenders: a count without a shared cache line, so that what was skipped shows.
inline void count_job() {
    job_counter& mine = job_counter_here ? *job_counter_here : claim_job_counter();
    mine.value.store(mine.value.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

/// How many jobs ran, on all threads, since the program began.
long counted_jobs();

/// Yields until `counted_jobs` is `total`. Throws when it is more.
void wait_for_counted_jobs(long total);

}  // namespace tercet::benchmarks
