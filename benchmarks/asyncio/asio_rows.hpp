#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "echo.hpp"
#include "work.hpp"

// The rows in Asio: stand-alone and that of Boost are one library under two names. `Net` has what is named differently.

namespace tercet::benchmarks {

template <class Net>
struct asio_rows {
    template <class T>
    using coro = typename Net::template awaitable<T>;
    using context = typename Net::context;
    using timer = typename Net::timer;
    using channel = typename Net::channel;
    using socket = typename Net::tcp::socket;

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
                if (left > 0) co_await Net::wait(all);  // they may have run already
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

    static coro<void> put_all(channel& to) {
        for (long i = 0; i < messages; ++i) co_await Net::put(to, i);
    }
    static double queue_of_one() {
        return run([](context& loop, double& result) -> coro<void> {
            for (int pass = 0; pass < 2; ++pass) {
                channel between(loop, 1);
                long sum = 0;
                const auto from = clock::now();
                Net::spawn(loop, put_all(between));
                for (long i = 0; i < messages; ++i) {
                    const long got = co_await Net::get(between);
                    sum += got;
                }
                result = nanoseconds(from, clock::now()) / static_cast<double>(messages);
                check(sum == messages * (messages - 1) / 2, "the sum of the messages");
            }
        });
    }

    static coro<void> answer_all(channel& from, channel& to) {
        for (long i = 0; i < messages / 2; ++i) {
            const long got = co_await Net::get(from);
            co_await Net::put(to, got + 1);
        }
    }
    static double queue_pingpong() {
        return run([](context& loop, double& result) -> coro<void> {
            for (int pass = 0; pass < 2; ++pass) {
                channel there(loop, 1);
                channel back(loop, 1);
                Net::spawn(loop, answer_all(there, back));
                long last = 0;
                const auto from = clock::now();
                for (long i = 0; i < messages / 2; ++i) {
                    co_await Net::put(there, last);
                    last = co_await Net::get(back);
                }
                result = nanoseconds(from, clock::now()) / static_cast<double>(messages);
                check(last == messages / 2, "the last answer");
            }
        });
    }

    static coro<void> echo(socket connection) {
        std::vector<char> buffer(65536);
        for (;;) {
            const std::size_t count = co_await Net::read_some(connection, buffer);
            if (count == 0) co_return;
            co_await Net::write(connection, buffer.data(), count);
        }
    }
    static coro<void> accept_all(context& loop) {
        typename Net::tcp::acceptor listener(loop, {Net::loopback(), 0});
        tell_port(listener.local_endpoint().port());
        for (;;) {
            socket accepted = co_await Net::accept(listener);
            accepted.set_option(typename Net::tcp::no_delay(true));
            Net::spawn(loop, echo(std::move(accepted)));
        }
    }
    static void serve() {
        run([](context& loop, double&) { return accept_all(loop); });
    }

    static std::vector<entry> every_row() {
        std::vector<entry> rows = echo_rows<serve>();
        for (const entry& each : {entry{"spawn_one", spawn_one}, entry{"spawn_1000", spawn_1000},
                                  entry{"spawn_1M", spawn_1m}, entry{"call", call}, entry{"yield", yield},
                                  entry{"queue", queue_of_one}, entry{"queue_pingpong", queue_pingpong},
                                  entry{"sleepers_100k", sleepers_100k}, entry{"sleepers_100k_cpu", sleepers_100k_cpu},
                                  entry{"sleepers_1M", sleepers_1m}, entry{"sleepers_1M_cpu", sleepers_1m_cpu}})
            rows.push_back(each);
        return rows;
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
