// to_thread: a function that blocks, called from a coroutine: it runs on a thread of the loop's own, reports its
// progress through the loop, and stops when it is asked to.

#include <tercet/asyncio.hpp>

#include <chrono>
#include <cstdio>
#include <stop_token>
#include <thread>

using namespace std::chrono_literals;
using namespace tercet::asyncio;

namespace {

int sum_slowly(int last) {
    int sum = 0;
    for (int i = 1; i <= last; ++i) {
        sum += i;
        from_thread::run_sync([sum] { std::printf("so far %d\n", sum); });
    }
    return sum;
}

void work_until_stopped(std::stop_token stop) {
    while (!stop.stop_requested()) std::this_thread::sleep_for(1ms);
    std::puts("the thread has stopped");
}

coro<> main_coroutine() {
    const int sum = co_await to_thread(sum_slowly, 3);
    std::printf("sum %d\n", sum);
    co_await timeout(20ms, to_thread(work_until_stopped));  // it returns when it is asked to stop: no error
    std::puts("and the wait for it has ended");
}

}  // namespace

int main() { run(main_coroutine()); }
