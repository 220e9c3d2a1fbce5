// The smallest programs of our own that do the work of a row: no library can be much better. They spin without end, so
// they need a CPU for each thread.

#include <tercet/futures/cpu_relax.hpp>

#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>

#include "work.hpp"

namespace tercet::benchmarks {

namespace {

/// From one thread to one other. Each looks at the other's index only when what it knew of it is used up, and rests a
/// moment when there is nothing then: who looks at once takes the line away for every single item, which costs five
/// times as much. `size` and `rests`, in pauses of the CPU, are what was best for the row.
template <class T, std::size_t size, int rests>
class spinning_ring {
public:
    explicit spinning_ring(std::size_t) {}

    void put(T item) {
        const std::size_t at = tail_.load(std::memory_order_relaxed);
        while (at - known_head_ == size) {
            known_head_ = head_.load(std::memory_order_acquire);
            if (at - known_head_ == size) rest();
        }
        items_[at % size] = item;
        tail_.store(at + 1, std::memory_order_release);
    }

    T get() {
        const std::size_t at = head_.load(std::memory_order_relaxed);
        while (at == known_tail_) {
            known_tail_ = tail_.load(std::memory_order_acquire);
            if (at == known_tail_) rest();
        }
        const T item = items_[at % size];
        head_.store(at + 1, std::memory_order_release);
        return item;
    }

private:
    static void rest() {
        for (int i = 0; i < rests; ++i) cpu_relax();
    }

    alignas(64) std::atomic<std::size_t> tail_{0};
    std::size_t known_head_ = 0;
    alignas(64) std::atomic<std::size_t> head_{0};
    std::size_t known_tail_ = 0;
    alignas(64) std::array<T, size> items_{};
};

// One worker, which spins.
double submit() {
    using job = void (*)();
    static spinning_ring<job, 4096, 128> ring(0);
    std::jthread worker([] {
        while (const job next = ring.get()) next();
    });
    const double result = time_submits([](long count) {
        for (long i = 0; i < count; ++i) ring.put(count_job);
    });
    ring.put(nullptr);
    return result;
}

/// A word on a line of its own goes to another thread and back.
class pingpong {
public:
    long round_trip(long value) {
        there_.store(value, std::memory_order_release);
        while (back_.load(std::memory_order_acquire) != value) cpu_relax();
        return value;
    }
    ~pingpong() { there_.store(-1, std::memory_order_release); }

private:
    alignas(64) std::atomic<long> there_{0};
    alignas(64) std::atomic<long> back_{0};
    alignas(64) std::jthread other_{[this] {
        for (long seen = 0;;) {
            const long value = there_.load(std::memory_order_acquire);
            if (value == seen) {
                cpu_relax();
                continue;
            }
            if (value < 0) return;
            seen = value;
            count_job();
            back_.store(value, std::memory_order_release);
        }
    }};
};

double rtt() {
    pingpong with;
    return time_round_trips([&, i = 0L]() mutable { with.round_trip(++i); });
}

// From before one futex wake until the thread that slept runs; one way.
double rtt_idle() {
    std::atomic<std::uint32_t> word{0};
    std::atomic<std::uint32_t> seen{0};
    std::array<double, 300> took{};
    std::array<clock::time_point, 300> woken{};
    const auto futex = [&](int operation, std::uint32_t value) {
        ::syscall(SYS_futex, &word, operation | FUTEX_PRIVATE_FLAG, value, nullptr, nullptr, 0);
    };
    std::jthread sleeper([&] {
        for (std::uint32_t i = 0; i < woken.size(); ++i) {
            while (word.load(std::memory_order_acquire) == i) futex(FUTEX_WAIT, i);
            woken[i] = clock::now();
            seen.store(i + 1, std::memory_order_release);
        }
    });
    for (std::uint32_t i = 0; i < woken.size(); ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        const auto from = clock::now();
        word.store(i + 1, std::memory_order_release);
        futex(FUTEX_WAKE, 1);
        while (seen.load(std::memory_order_acquire) != i + 1) std::this_thread::yield();
        took[i] = nanoseconds(from, woken[i]) / 1e3;
    }
    return median_of({took.begin(), took.end()});
}

// Half of what one thread takes.
double map_1m() {
    return time_map([](const auto& in, auto& out) {
               for (std::size_t i = 0; i < in.size(); ++i) out[i] = square_plus_one(in[i]);
           }) /
           2;
}

[[gnu::noinline]] long fib(int n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

// Half of what one thread takes, without forks.
double fib30() { return time_fib(fib) / 2; }

class pthread_lock {
public:
    ~pthread_lock() { pthread_mutex_destroy(&mutex_); }
    void lock() { pthread_mutex_lock(&mutex_); }
    void unlock() { pthread_mutex_unlock(&mutex_); }

private:
    pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
};

const contender here(limit, {{"submit", submit},
                             {"submit_future", submit},
                             {"rtt", rtt},
                             {"rtt_idle", rtt_idle},
                             {"map_1M", map_1m},
                             {"fib30", fib30},
                             {"queue_stream", time_stream<spinning_ring<long, 1024, 32>>},
                             {"queue_pingpong", rtt},
                             {"lock", time_lock<pthread_lock>},
                             {"lock_contended", time_contended_lock<pthread_lock>}});

}  // namespace

}  // namespace tercet::benchmarks
