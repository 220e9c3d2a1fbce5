#include <tercet/asyncio.hpp>

#include <vector>

#include "work.hpp"

namespace tercet::benchmarks {

namespace {

using namespace std::chrono_literals;
using asyncio::coro;
using asyncio::task;

coro<long> value(long number) { co_return number; }

double spawn_one() {
    auto main = []() -> coro<double> {
        double took = 0;
        for (int pass = 0; pass < 2; ++pass) {
            long sum = 0;
            const auto from = clock::now();
            for (long i = 0; i < tasks_one_by_one; ++i) {
                const long got = co_await asyncio::create_task(value(1));
                sum += got;
            }
            took = nanoseconds(from, clock::now());
            check(sum == tasks_one_by_one, "a result");
        }
        co_return took / static_cast<double>(tasks_one_by_one);
    };
    return asyncio::run(main());
}

coro<double> spawn_then_await(long count, long passes) {
    std::vector<task<long>> tasks;
    tasks.reserve(static_cast<std::size_t>(count));
    double took = 0;
    for (int round = 0; round < 2; ++round) {
        long sum = 0;
        const auto from = clock::now();
        for (long pass = 0; pass < passes; ++pass) {
            for (long i = 0; i < count; ++i) tasks.push_back(asyncio::create_task(value(1)));
            for (auto& each : tasks) {
                const long got = co_await std::move(each);
                sum += got;
            }
            tasks.clear();
        }
        took = nanoseconds(from, clock::now());
        check(sum == count * passes, "a result");
    }
    co_return took / static_cast<double>(count * passes);
}

double spawn_1000() { return asyncio::run(spawn_then_await(1'000, batches)); }
double spawn_1m() { return asyncio::run(spawn_then_await(1'000'000, 1)); }

double call() {
    auto main = []() -> coro<double> {
        double took = 0;
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
        co_return took / static_cast<double>(calls);
    };
    return asyncio::run(main());
}

coro<> yield_often() {
    for (long i = 0; i < yields; ++i) co_await asyncio::sleep(0s);
}

double yield() {
    auto main = []() -> coro<double> {
        double took = 0;
        for (int pass = 0; pass < 2; ++pass) {
            const auto from = clock::now();
            const task<> first = asyncio::create_task(yield_often());
            const task<> second = asyncio::create_task(yield_often());
            co_await first;
            co_await second;
            took = nanoseconds(from, clock::now());
        }
        co_return took / static_cast<double>(2 * yields);
    };
    return asyncio::run(main());
}

coro<> put_all(asyncio::queue<long>& to) {
    for (long i = 0; i < messages; ++i) co_await to.put(i);
}
coro<long> sum_up(asyncio::queue<long>& from) {
    long sum = 0;
    for (long i = 0; i < messages; ++i) {
        const long got = co_await from.get();
        sum += got;
    }
    co_return sum;
}

double queue_of_one() {
    auto main = []() -> coro<double> {
        double took = 0;
        for (int pass = 0; pass < 2; ++pass) {
            asyncio::queue<long> between(1);
            const auto from = clock::now();
            const task<> puts = asyncio::create_task(put_all(between));
            const long sum = co_await sum_up(between);
            took = nanoseconds(from, clock::now());
            co_await puts;
            check(sum == messages * (messages - 1) / 2, "the sum of the messages");
        }
        co_return took / static_cast<double>(messages);
    };
    return asyncio::run(main());
}

coro<> answer_all(asyncio::queue<long>& from, asyncio::queue<long>& to) {
    for (long i = 0; i < messages / 2; ++i) {
        const long got = co_await from.get();
        co_await to.put(got + 1);
    }
}

double queue_pingpong() {
    auto main = []() -> coro<double> {
        double took = 0;
        for (int pass = 0; pass < 2; ++pass) {
            asyncio::queue<long> there(1);
            asyncio::queue<long> back(1);
            const task<> answers = asyncio::create_task(answer_all(there, back));
            long last = 0;
            const auto from = clock::now();
            for (long i = 0; i < messages / 2; ++i) {
                co_await there.put(last);
                last = co_await back.get();
            }
            took = nanoseconds(from, clock::now());
            co_await answers;
            check(last == messages / 2, "the last answer");
        }
        co_return took / static_cast<double>(messages);
    };
    return asyncio::run(main());
}

coro<> sleep_once(long number, long& woken) {
    co_await asyncio::sleep(time_to_sleep(number));
    ++woken;
}

sleepers_figure sleepers(long count) {
    sleepers_figure figure(count);
    auto main = [&]() -> coro<> {
        long woken = 0;
        figure.begin();
        for (long i = 0; i < count; ++i) asyncio::create_task(sleep_once(i, woken));
        co_await asyncio::sleep(0s);
        figure.all_sleep();
        while (woken < count) co_await asyncio::sleep(100ms);
        figure.end(woken);
    };
    asyncio::run(main());
    return figure;
}

const contender here("tercet", {{"spawn_one", spawn_one},
                                {"spawn_1000", spawn_1000},
                                {"spawn_1M", spawn_1m},
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
