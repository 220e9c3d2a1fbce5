// async_queue: two producers and three consumers share a queue with room for two items.
#include <tercet/asyncio.hpp>

#include <cstdio>
#include <string>

using namespace std::chrono_literals;
using namespace tercet::asyncio;

/// Waits whenever the queue is full: it cannot run ahead of the consumers.
coro<> produce(queue<int>& jobs, int first, int last) {
    for (int i = first; i <= last; ++i) co_await jobs.put(i);
}

/// Ends when the queue was shut down and is empty.
coro<> consume(queue<int>& jobs, long& sum) {
    while (auto job = co_await jobs.next()) {
        co_await sleep(1ms);
        sum += *job;
        jobs.task_done();
    }
}

coro<long> work() {
    queue<int> jobs(2);
    long sum = 0;
    std::vector<task<>> consumers;
    for (int i = 0; i < 3; ++i) consumers.push_back(create_task(consume(jobs, sum)));
    co_await gather(produce(jobs, 1, 50), produce(jobs, 51, 100));
    co_await jobs.join();  // every job was taken and is done
    jobs.shutdown();
    for (const task<>& each : consumers) co_await each;
    co_return sum;
}

int main() try {
    const long sum = run(work());
    std::printf("the sum of 1 to 100 is %ld\n", sum);
    return sum == 5050 ? 0 : 1;
} catch (const std::exception& error) {
    std::fprintf(stderr, "async_queue: %s\n", error.what());
    return 1;
}
