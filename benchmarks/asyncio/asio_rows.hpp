#pragma once

#include <memory>
#include <vector>

#include "work.hpp"

// The rows in Asio: stand-alone and that of Boost are one library under two names. `Net` has what is named differently.

namespace tercet::benchmarks {

template <class Net>
struct asio_rows {
    template <class T>
    using coro = typename Net::template awaitable<T>;
    using context = typename Net::context;
    using timer = typename Net::timer;

    template <class Main>
    static double run(Main main) {
        context loop(1);
        double result = 0;
        Net::spawn(loop, main(loop, result));
        loop.run();
        return result;
    }

    static coro<long> value(long number) { co_return number; }
    static coro<void> count_down(long& left, timer& all) {
        if (--left == 0) all.cancel();
        co_return;
    }

    static double spawn_one() {
        return run([](context& loop, double& result) -> coro<void> {
            for (int pass = 0; pass < 2; ++pass) {
                long sum = 0;
                const auto from = clock::now();
                for (long i = 0; i < tasks_one_by_one; ++i) {
                    const long got = co_await Net::spawned(loop, value(1));
                    sum += got;
                }
                result = nanoseconds(from, clock::now()) / static_cast<double>(tasks_one_by_one);
                check(sum == tasks_one_by_one, "a result");
            }
        });
    }

    // The last of the tasks wakes the one who waits for all: Asio has no handle of a task that could be awaited later.
    static coro<void> spawn_then_await(context& loop, double& result, long count, long passes) {
        timer all(loop);
        for (int round = 0; round < 2; ++round) {
            const auto from = clock::now();
            for (long pass = 0; pass < passes; ++pass) {
                long left = count;
                all.expires_at(timer::time_point::max());
                for (long i = 0; i < count; ++i) Net::spawn(loop, count_down(left, all));
                co_await Net::wait(all);
                check(left == 0, "how many ran");
            }
            result = nanoseconds(from, clock::now()) / static_cast<double>(count * passes);
        }
    }
    static double spawn_1000() {
        return run([](context& loop, double& result) { return spawn_then_await(loop, result, 1'000, batches); });
    }
    static double spawn_1m() {
        return run([](context& loop, double& result) { return spawn_then_await(loop, result, 1'000'000, 1); });
    }

    static double call() {
        return run([](context&, double& result) -> coro<void> {
            for (int pass = 0; pass < 2; ++pass) {
                long sum = 0;
                const auto from = clock::now();
                for (long i = 0; i < calls; ++i) {
                    const long got = co_await value(1);
                    sum += got;
                }
                result = nanoseconds(from, clock::now()) / static_cast<double>(calls);
                check(sum == calls, "a result");
            }
        });
    }

    static coro<void> yield_often(context& loop, long& left, timer& all) {
        for (long i = 0; i < yields; ++i) co_await Net::post(loop);
        if (--left == 0) all.cancel();
    }
    static double yield() {
        return run([](context& loop, double& result) -> coro<void> {
            timer all(loop);
            for (int pass = 0; pass < 2; ++pass) {
                long left = 2;
                all.expires_at(timer::time_point::max());
                const auto from = clock::now();
                Net::spawn(loop, yield_often(loop, left, all));
                Net::spawn(loop, yield_often(loop, left, all));
                co_await Net::wait(all);
                result = nanoseconds(from, clock::now()) / static_cast<double>(2 * yields);
                check(left == 0, "how many ended");
            }
        });
    }

    static coro<void> sleep_once(context& loop, long number, long& woken) {
        timer mine(loop, time_to_sleep(number));
        co_await Net::wait(mine);
        ++woken;
    }
    static sleepers_figure sleepers(long count) {
        sleepers_figure figure(count);
        long woken = 0;
        run([&](context& loop, double&) -> coro<void> {
            figure.begin();
            for (long i = 0; i < count; ++i) Net::spawn(loop, sleep_once(loop, i, woken));
            co_await Net::post(loop);
            figure.all_sleep();
        });
        figure.end(woken);
        return figure;
    }

    static double sleepers_100k() { return sleepers(100'000).bytes_each(); }
    static double sleepers_100k_cpu() { return sleepers(100'000).cpu_ms(); }
    static double sleepers_1m() { return sleepers(1'000'000).bytes_each(); }
    static double sleepers_1m_cpu() { return sleepers(1'000'000).cpu_ms(); }
};

}  // namespace tercet::benchmarks
