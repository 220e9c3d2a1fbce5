// async_condition: tasks wait until a shared value is what each of them needs.
#include <tercet/asyncio.hpp>

#include <cstdio>

using namespace std::chrono_literals;
using namespace tercet::asyncio;

struct thermometer {
    condition changed;
    int degrees = 0;
};

coro<> wait_for_heat(thermometer& shared, int wanted) {
    const auto guard = co_await shared.changed.scoped();
    auto is_warm = [&] { return shared.degrees >= wanted; };
    co_await shared.changed.wait_for(is_warm);
    std::printf("%d degrees: enough for %d\n", shared.degrees, wanted);
}

coro<> heat(thermometer& shared) {
    for (int i = 0; i < 3; ++i) {
        co_await sleep(5ms);
        const auto guard = co_await shared.changed.scoped();
        shared.degrees += 30;
        shared.changed.notify_all();
    }
}

coro<> work() {
    thermometer shared;
    co_await gather(wait_for_heat(shared, 80), wait_for_heat(shared, 20), wait_for_heat(shared, 50), heat(shared));
}

int main() try {
    run(work());
    return 0;
} catch (const std::exception& error) {
    std::fprintf(stderr, "async_condition: %s\n", error.what());
    return 1;
}
