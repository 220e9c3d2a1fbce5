// async_event: runners wait for one signal.
#include <tercet/asyncio.hpp>

#include <cstdio>

using namespace std::chrono_literals;
using namespace tercet::asyncio;

coro<> run_race(event& start, int number) {
    std::printf("runner %d is ready\n", number);
    co_await start.wait();
    std::printf("runner %d runs\n", number);
}

coro<> race() {
    event start;
    auto give_signal = [&]() -> coro<> {
        co_await sleep(10ms);
        std::puts("go");
        start.set();
    };
    co_await gather(run_race(start, 1), run_race(start, 2), run_race(start, 3), give_signal());
}

int main() try {
    run(race());
    return 0;
} catch (const std::exception& error) {
    std::fprintf(stderr, "async_event: %s\n", error.what());
    return 1;
}
