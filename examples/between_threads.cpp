// between_threads: a loop that lets a pool of threads compute, a thread that asks a loop, and both with a time limit.
#include <tercet/asyncio.hpp>
#include <tercet/threading.hpp>

#include <cstdio>
#include <numeric>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using namespace tercet::asyncio;

long sum_up_to(long last) {
    std::vector<long> all(static_cast<std::size_t>(last));
    std::iota(all.begin(), all.end(), 1L);
    return std::accumulate(all.begin(), all.end(), 0L);
}

coro<long> answer_later(long question) {
    co_await sleep(5ms);
    co_return 2 * question;
}

coro<> work() {
    tercet::threading::thread_pool_executor pool(2);
    const long sum = co_await run_in_executor(pool, sum_up_to, 1'000'000L);
    std::printf("a thread has added: %ld\n", sum);

    // The other way round: a thread waits for a coroutine of this loop.
    event_loop& loop = get_running_loop();
    const auto ask = [&loop] { return run_coroutine_threadsafe(answer_later(21), loop).result(); };
    const long answer = co_await to_thread(ask);
    std::printf("the loop has answered: %ld\n", answer);

    try {
        co_await wait_for(answer_later(1), 1ms);
    } catch (const tercet::timeout_error&) {
        std::printf("too slow\n");
    }
}

int main() { run(work()); }
