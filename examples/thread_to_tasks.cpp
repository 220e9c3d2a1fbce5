// thread_to_tasks: a thread that may block feeds coroutines, and coroutines feed a thread.
#include <tercet/asyncio.hpp>

#include <cstdio>
#include <thread>

using namespace tercet::asyncio;

/// As a driver or a library would: it knows nothing of coroutines, and waits when the queue is full.
void read_sensor(thread_queue<int>& readings) {
    for (int i = 1; i <= 1'000; ++i) readings.put(i);
    readings.shutdown();
}

void write_log(thread_queue<long>& lines) {
    try {
        for (;;) std::printf("sum %ld\n", lines.get());
    } catch (const tercet::queue_shutdown&) {
        std::puts("end");
    }
}

coro<> sum_up(thread_queue<int>& readings, thread_queue<long>& lines) {
    long sum = 0;
    while (auto reading = co_await readings.next_async()) {
        sum += *reading;
        if (*reading % 250 == 0) co_await lines.put_async(sum);
    }
    lines.shutdown();
}

int main() try {
    thread_queue<int> readings(16);
    thread_queue<long> lines(4);
    std::jthread sensor([&] { read_sensor(readings); });
    std::jthread log([&] { write_log(lines); });
    run(sum_up(readings, lines));
    return 0;
} catch (const std::exception& error) {
    std::fprintf(stderr, "thread_to_tasks: %s\n", error.what());
    return 1;
}
