// OpenMP of the compiler, a team of two: the caller and a worker that spins between two regions. While the caller makes
// tasks, libgomp lets it run some at once when too many wait. There are no futures; a round trip is a region in which
// the worker runs the job.

#include <omp.h>

#include "work.hpp"

namespace tercet::benchmarks {

namespace {

double submit() {
    return time_submits([](long count) {
#pragma omp parallel num_threads(2)
#pragma omp single
        for (long i = 0; i < count; ++i) {
#pragma omp task
            count_job();
        }
    });
}

void round_trip() {
#pragma omp parallel num_threads(2)
    {
        if (omp_get_thread_num() == 1) count_job();
    }
}

double rtt() { return time_round_trips(round_trip); }

double rtt_idle() { return time_idle_round_trips(round_trip); }

double map_1m() {
    return time_map([](const auto& in, auto& out) {
        const long size = static_cast<long>(in.size());
        const double* const from = in.data();
        double* const to = out.data();
#pragma omp parallel for num_threads(2) schedule(static)
        for (long i = 0; i < size; ++i) to[i] = square_plus_one(from[i]);
    });
}

long fib(int n) {
    if (n < 2) return n;
    long left = 0;
#pragma omp task shared(left)
    left = fib(n - 1);
    const long right = fib(n - 2);
#pragma omp taskwait
    return left + right;
}

double fib30() {
    return time_fib([](int n) {
        long result = 0;
#pragma omp parallel num_threads(2)
#pragma omp single
        result = fib(n);
        return result;
    });
}

const contender here("openmp",
                     {{"submit", submit}, {"rtt", rtt}, {"rtt_idle", rtt_idle}, {"map_1M", map_1m}, {"fib30", fib30}});

}  // namespace

}  // namespace tercet::benchmarks
