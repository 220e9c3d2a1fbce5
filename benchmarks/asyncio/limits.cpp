// The smallest programs of our own that do the work of a row: frames from a free list, a vector as ready queue, a heap
// of timers; no errors, no cancellation, no input or output. No library can be much better.

#include <coroutine>
#include <exception>
#include <functional>
#include <new>
#include <queue>
#include <thread>
#include <utility>
#include <vector>

#include "work.hpp"

namespace tercet::benchmarks {

namespace {

/// Blocks of one size.
class free_list {
public:
    void* take(std::size_t size) {
        if (size > block_size) return ::operator new(size);
        if (first_) return std::exchange(first_, first_->next);
        if (left_ == 0) {
            room_ = static_cast<char*>(::operator new(block_size* blocks_at_once));
            left_ = blocks_at_once;
        }
        return room_ + block_size * --left_;
    }
    void give(void* block, std::size_t size) noexcept {
        if (size > block_size)
            ::operator delete(block);
        else
            first_ = new (block) node{first_};
    }

private:
    static constexpr std::size_t block_size = 128;
    static constexpr std::size_t blocks_at_once = 512;
    struct node {
        node* next;
    };
    node* first_ = nullptr;
    char* room_ = nullptr;
    std::size_t left_ = 0;
};

constinit free_list frames;
std::vector<std::coroutine_handle<>> ready;
std::vector<std::coroutine_handle<>> running;

void run_ready() {
    while (!ready.empty()) {
        running.swap(ready);
        for (const auto each : running) each.resume();
        running.clear();
    }
}

class work {
public:
    struct promise_type {
        long value = 0;
        bool is_done = false;
        std::coroutine_handle<> waiter = std::noop_coroutine();

        static void* operator new(std::size_t size) { return frames.take(size); }
        static void operator delete(void* frame, std::size_t size) noexcept { frames.give(frame, size); }
        work get_return_object() { return work(std::coroutine_handle<promise_type>::from_promise(*this)); }
        std::suspend_always initial_suspend() const noexcept { return {}; }
        auto final_suspend() const noexcept {
            struct to_waiter {
                bool await_ready() const noexcept { return false; }
                std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> ended) const noexcept {
                    ended.promise().is_done = true;
                    return ended.promise().waiter;
                }
                void await_resume() const noexcept {}
            };
            return to_waiter{};
        }
        void return_value(long result) noexcept { value = result; }
        void unhandled_exception() noexcept { std::terminate(); }
    };

    explicit work(std::coroutine_handle<promise_type> frame) : frame_(frame) {}
    work(work&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
    work& operator=(work&&) = delete;
    ~work() {
        if (frame_) frame_.destroy();
    }

    void spawn() { ready.push_back(frame_); }

    /// Of one that runs or is done: waits.
    struct join {
        std::coroutine_handle<promise_type> frame;
        bool await_ready() const noexcept { return frame.promise().is_done; }
        void await_suspend(std::coroutine_handle<> waiter) const noexcept { frame.promise().waiter = waiter; }
        long await_resume() const noexcept { return frame.promise().value; }
    };
    join joined() const { return {frame_}; }

    /// Of one that has not begun: runs it.
    struct start {
        std::coroutine_handle<promise_type> frame;
        bool await_ready() const noexcept { return false; }
        std::coroutine_handle<> await_suspend(std::coroutine_handle<> waiter) const noexcept {
            frame.promise().waiter = waiter;
            return frame;
        }
        long await_resume() const noexcept { return frame.promise().value; }
    };
    start operator co_await() const { return {frame_}; }

private:
    std::coroutine_handle<promise_type> frame_;
};

work value(long number) { co_return number; }

void run(work main) {
    main.spawn();
    run_ready();
    check(main.joined().await_ready(), "main has ended");
}

double spawn_one() {
    double took = 0;
    auto main = [&]() -> work {
        for (int pass = 0; pass < 2; ++pass) {
            long sum = 0;
            const auto from = clock::now();
            for (long i = 0; i < tasks_one_by_one; ++i) {
                work task = value(1);
                task.spawn();
                const long got = co_await task.joined();
                sum += got;
            }
            took = nanoseconds(from, clock::now());
            check(sum == tasks_one_by_one, "a result");
        }
        co_return 0;
    };
    run(main());
    return took / static_cast<double>(tasks_one_by_one);
}

double spawn_then_await(long count, long passes) {
    double took = 0;
    auto main = [&]() -> work {
        std::vector<work> tasks;
        tasks.reserve(static_cast<std::size_t>(count));
        for (int round = 0; round < 2; ++round) {
            long sum = 0;
            const auto from = clock::now();
            for (long pass = 0; pass < passes; ++pass) {
                for (long i = 0; i < count; ++i) {
                    tasks.push_back(value(1));
                    tasks.back().spawn();
                }
                for (const work& each : tasks) {
                    const long got = co_await each.joined();
                    sum += got;
                }
                tasks.clear();
            }
            took = nanoseconds(from, clock::now());
            check(sum == count * passes, "a result");
        }
        co_return 0;
    };
    run(main());
    return took / static_cast<double>(count * passes);
}

double call() {
    double took = 0;
    auto main = [&]() -> work {
        for (int pass = 0; pass < 2; ++pass) {
            long sum = 0;
            const auto from = clock::now();
            for (long i = 0; i < calls; ++i) {
                const long got = co_await value(1);
                sum += got;
            }
            took = nanoseconds(from, clock::now());
            check(sum == calls, "a result");
        }
        co_return 0;
    };
    run(main());
    return took / static_cast<double>(calls);
}

struct give_way {
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> waiter) const { ready.push_back(waiter); }
    void await_resume() const noexcept {}
};

work yield_often() {
    for (long i = 0; i < yields; ++i) co_await give_way();
    co_return 0;
}

double yield() {
    double took = 0;
    for (int pass = 0; pass < 2; ++pass) {
        const auto from = clock::now();
        work first = yield_often();
        work second = yield_often();
        first.spawn();
        second.spawn();
        run_ready();
        took = nanoseconds(from, clock::now());
    }
    return took / static_cast<double>(2 * yields);
}

/// Room for one message, and for one who waits, at each end.
class slot {
public:
    struct put {
        slot& to;
        long message;
        bool await_ready() const noexcept {
            if (to.is_full_) return false;
            to.fill(message);
            return true;
        }
        void await_suspend(std::coroutine_handle<> waiter) const noexcept {
            to.putter_ = waiter;
            to.waiting_ = message;
        }
        void await_resume() const noexcept {}
    };
    struct get {
        slot& from;
        bool await_ready() const noexcept { return from.is_full_; }
        void await_suspend(std::coroutine_handle<> waiter) const noexcept { from.getter_ = waiter; }
        long await_resume() const {
            const long message = from.message_;
            from.is_full_ = false;
            if (from.putter_) {
                ready.push_back(std::exchange(from.putter_, nullptr));
                from.fill(from.waiting_);
            }
            return message;
        }
    };

private:
    void fill(long message) {
        message_ = message;
        is_full_ = true;
        if (getter_) ready.push_back(std::exchange(getter_, nullptr));
    }

    long message_ = 0;
    long waiting_ = 0;
    bool is_full_ = false;
    std::coroutine_handle<> putter_;
    std::coroutine_handle<> getter_;
};

work put_all(slot& to) {
    for (long i = 0; i < messages; ++i) co_await slot::put{to, i};
    co_return 0;
}
work sum_up(slot& from) {
    long sum = 0;
    for (long i = 0; i < messages; ++i) {
        const long got = co_await slot::get{from};
        sum += got;
    }
    co_return sum;
}

double queue_of_one() {
    double took = 0;
    for (int pass = 0; pass < 2; ++pass) {
        slot between;
        const auto from = clock::now();
        work first = put_all(between);
        work second = sum_up(between);
        first.spawn();
        second.spawn();
        run_ready();
        took = nanoseconds(from, clock::now());
        check(second.joined().await_resume() == messages * (messages - 1) / 2, "the sum of the messages");
    }
    return took / static_cast<double>(messages);
}

work answer_all(slot& from, slot& to) {
    for (long i = 0; i < messages / 2; ++i) {
        const long got = co_await slot::get{from};
        co_await slot::put{to, got + 1};
    }
    co_return 0;
}
work ask_often(slot& there, slot& back) {
    long last = 0;
    for (long i = 0; i < messages / 2; ++i) {
        co_await slot::put{there, last};
        last = co_await slot::get{back};
    }
    co_return last;
}

double queue_pingpong() {
    double took = 0;
    for (int pass = 0; pass < 2; ++pass) {
        slot there;
        slot back;
        const auto from = clock::now();
        work first = answer_all(there, back);
        work second = ask_often(there, back);
        first.spawn();
        second.spawn();
        run_ready();
        took = nanoseconds(from, clock::now());
        check(second.joined().await_resume() == messages / 2, "the last answer");
    }
    return took / static_cast<double>(messages);
}

struct due {
    clock::time_point when;
    std::coroutine_handle<> who;
    bool operator>(const due& other) const noexcept { return when > other.when; }
};
std::priority_queue<due, std::vector<due>, std::greater<>> timers;

struct sleep {
    clock::time_point until;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> waiter) const { timers.push({until, waiter}); }
    void await_resume() const noexcept {}
};

work sleep_once(long number, long& woken) {
    co_await sleep{clock::now() + time_to_sleep(number)};
    ++woken;
    co_return 0;
}

sleepers_figure sleepers(long count) {
    sleepers_figure figure(count);
    long woken = 0;
    figure.begin();
    std::vector<work> all;
    all.reserve(static_cast<std::size_t>(count));
    for (long i = 0; i < count; ++i) {
        all.push_back(sleep_once(i, woken));
        all.back().spawn();
    }
    run_ready();
    figure.all_sleep();
    while (!timers.empty()) {
        std::this_thread::sleep_until(timers.top().when);
        const auto now = clock::now();
        while (!timers.empty() && timers.top().when <= now) {
            timers.top().who.resume();
            timers.pop();
        }
    }
    figure.end(woken);
    return figure;
}

const contender here(limit, {{"spawn_one", spawn_one},
                             {"spawn_1000", [] { return spawn_then_await(1'000, batches); }},
                             {"spawn_1M", [] { return spawn_then_await(1'000'000, 1); }},
                             {"call", call},
                             {"yield", yield},
                             {"queue", queue_of_one},
                             {"queue_pingpong", queue_pingpong},
                             {"sleepers_100k", [] { return sleepers(100'000).bytes_each(); }},
                             {"sleepers_100k_cpu", [] { return sleepers(100'000).cpu_ms(); }},
                             {"sleepers_1M", [] { return sleepers(1'000'000).bytes_each(); }},
                             {"sleepers_1M_cpu", [] { return sleepers(1'000'000).cpu_ms(); }}});

}  // namespace

}  // namespace tercet::benchmarks
