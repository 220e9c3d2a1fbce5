#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "../driver.hpp"
#include "counted_job.hpp"

// What each row does; the contenders bring the pool, the queue or the lock. Everything is done once before it is
// measured: threads have started, pages are there, free lists are full.

namespace tercet::benchmarks {

inline constexpr long jobs = 1'000'000;
inline constexpr long round_trips = 20'000;

inline void check(bool is_right, const char* what) {
    if (!is_right) throw std::logic_error(std::string("wrong result: ") + what);
}

/// ns per job: `submit_all(count)` makes `count` jobs that call `count_job`; until all of them ran.
template <class SubmitAll>
double time_submits(SubmitAll submit_all, long count = jobs) {
    double took = 0;
    for (int pass = 0; pass < 2; ++pass) {
        const long before = counted_jobs();
        const auto from = clock::now();
        submit_all(count);
        wait_for_counted_jobs(before + count);
        took = nanoseconds(from, clock::now());
    }
    return took / static_cast<double>(count);
}

/// ns per job with a future. All futures are kept, read when the last job was submitted, and destroyed; that counts.
template <class Submit, class Read>
double time_futures(Submit submit, Read read, long count = jobs) {
    std::vector<decltype(submit())> futures;
    futures.reserve(static_cast<std::size_t>(count));
    double took = 0;
    for (int pass = 0; pass < 2; ++pass) {
        const long before = counted_jobs();
        const auto from = clock::now();
        for (long i = 0; i < count; ++i) futures.push_back(submit());
        for (auto& each : futures) read(each);
        futures.clear();
        took = nanoseconds(from, clock::now());
        check(counted_jobs() == before + count, "how many jobs ran");
    }
    return took / static_cast<double>(count);
}

/// us per `round_trip()`, which has one `count_job` called elsewhere and waits for it; one after another.
template <class RoundTrip>
double time_round_trips(RoundTrip round_trip, long count = round_trips) {
    const long before = counted_jobs();
    const long warm_up = count / 10;
    for (long i = 0; i < warm_up; ++i) round_trip();
    const auto from = clock::now();
    for (long i = 0; i < count; ++i) round_trip();
    const double took = nanoseconds(from, clock::now());
    check(counted_jobs() == before + warm_up + count, "how many jobs ran");
    return took / 1e3 / static_cast<double>(count);
}

/// us: the median of 300, each after 1 ms in which nothing was to be done.
template <class RoundTrip>
double time_idle_round_trips(RoundTrip round_trip) {
    const long before = counted_jobs();
    for (int i = 0; i < 10; ++i) round_trip();
    std::vector<double> took;
    for (int i = 0; i < 300; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        const auto from = clock::now();
        round_trip();
        took.push_back(nanoseconds(from, clock::now()) / 1e3);
    }
    check(counted_jobs() == before + 310, "how many jobs ran");
    return median_of(std::move(took));
}

/// Returns when as many threads came as were missing. `std::latch` of libstdc++ 12 can lose a wake-up.
inline void meet(std::atomic<int>& missing) {
    --missing;
    while (missing > 0) std::this_thread::yield();
}

/// A job with a future, for pools that have none: the cheapest that the standard library offers. `mutable`, because
/// some call their jobs as constants.
struct promised_job {
    mutable std::promise<void> promise{};

    void operator()() const {
        count_job();
        promise.set_value();
    }
};

/// Two calls that are in a pool at once: both its threads have started.
template <class Post>
void start_two_workers(Post post) {
    const long before = counted_jobs();
    std::atomic<int> missing{2};
    for (int i = 0; i < 2; ++i)
        post([&missing] {
            meet(missing);
            count_job();
        });
    wait_for_counted_jobs(before + 2);
}

// map_1M

inline double square_plus_one(double x) { return x * x + 1; }

/// us per `map(in, out)`, the median of 20.
template <class Map>
double time_map(Map map) {
    std::vector<double> in(1'000'000);
    std::vector<double> out(in.size());
    std::ranges::generate(in, [i = 0]() mutable { return 0.5 * i++; });
    std::vector<double> took;
    for (int pass = 0; pass < 25; ++pass) {
        std::ranges::fill(out, 0.0);
        const auto from = clock::now();
        map(in, out);
        if (pass >= 5) took.push_back(nanoseconds(from, clock::now()) / 1e3);
        for (std::size_t i = 0; i < in.size(); ++i) check(out[i] == square_plus_one(in[i]), "an item of the map");
    }
    return median_of(std::move(took));
}

// fib30

/// ms per `fib(30)`, the median of 3.
template <class Fib>
double time_fib(Fib fib) {
    std::vector<double> took;
    volatile int n = 30;  // read and written between the two looks at the clock, so the work is too
    volatile long result = 0;
    for (int pass = 0; pass < 4; ++pass) {
        const auto from = clock::now();
        result = fib(n);
        if (pass != 0) took.push_back(nanoseconds(from, clock::now()) / 1e6);
        check(result == 832'040, "fib(30)");
    }
    return median_of(std::move(took));
}

// Queues: `Queue(capacity)`, `put(long)`, `long get()`.

/// ns per item: from one thread to another through a queue of 1024.
template <class Queue>
double time_stream() {
    Queue queue(1024);
    const auto pass = [&](long count) {
        const auto from = clock::now();
        std::thread producer([&] {
            for (long i = 0; i < count; ++i) queue.put(i);
        });
        bool is_ordered = true;
        for (long i = 0; i < count; ++i) is_ordered &= queue.get() == i;
        const double took = nanoseconds(from, clock::now());
        producer.join();
        check(is_ordered, "the order of the items");
        return took / static_cast<double>(count);
    };
    pass(100'000);
    return pass(1'000'000);
}

/// us per round trip: through a queue of 1, and back through another.
template <class Queue>
double time_pingpong() {
    Queue there(1);
    Queue back(1);
    const long warm_up = round_trips / 10;
    std::thread other([&] {
        for (long i = 0; i < warm_up + round_trips; ++i) back.put(there.get() + 1);
    });
    bool is_right = true;
    const auto pass = [&](long count) {
        for (long i = 0; i < count; ++i) {
            there.put(i);
            is_right &= back.get() == i + 1;
        }
    };
    pass(warm_up);
    const auto from = clock::now();
    pass(round_trips);
    const double took = nanoseconds(from, clock::now());
    other.join();
    check(is_right, "an answer");
    return took / 1e3 / static_cast<double>(round_trips);
}

// Locks: `lock()` and `unlock()`.

/// ns per pair. A second thread is there, asleep: glibc's mutex leaves out the atomic operations in a program of one
/// thread, which no user of locks has.
template <class Lock>
double time_lock() {
    constexpr long count = 10'000'000;
    std::promise<void> is_over;
    std::thread other([&] { is_over.get_future().wait(); });
    struct {
        alignas(64) Lock lock;
        long value = 0;
    } shared;
    double took = 0;
    for (int pass = 0; pass < 2; ++pass) {
        const auto from = clock::now();
        for (long i = 0; i < count; ++i) {
            shared.lock.lock();
            ++shared.value;
            shared.lock.unlock();
        }
        took = nanoseconds(from, clock::now());
    }
    is_over.set_value();
    other.join();
    check(shared.value == 2 * count, "the count under the lock");
    return took / static_cast<double>(count);
}

/// ns per pair, of all pairs of two threads that do nothing but add one under the lock.
template <class Lock>
double time_contended_lock() {
    constexpr long count = 1'000'000;
    struct {
        alignas(64) Lock lock;
        long value = 0;
    } shared;
    const auto pass = [&] {
        std::atomic<int> missing{2};
        const auto add = [&] {
            meet(missing);
            for (long i = 0; i < count; ++i) {
                shared.lock.lock();
                ++shared.value;
                shared.lock.unlock();
            }
        };
        std::thread other(add);
        const auto from = clock::now();
        add();
        other.join();
        return nanoseconds(from, clock::now()) / static_cast<double>(2 * count);
    };
    pass();
    const double took = pass();
    check(shared.value == 4 * count, "the count under the lock");
    return took;
}

}  // namespace tercet::benchmarks
