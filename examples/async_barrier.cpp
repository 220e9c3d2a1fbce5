// async_barrier: three workers finish each phase together before any of them begins the next.
#include <tercet/asyncio.hpp>

#include <cstdio>

using namespace std::chrono_literals;
using namespace tercet::asyncio;

coro<> work(barrier& phase, int number, int& finished) {
    for (int i = 1; i <= 3; ++i) {
        co_await sleep(std::chrono::milliseconds(number));  // some are faster
        ++finished;
        const std::size_t place = co_await phase.wait();
        if (place == 0) std::printf("phase %d: %d of 3 have finished\n", i, finished);
        if (place == 0) finished = 0;
        co_await phase.wait();  // nobody counts on before that was printed
    }
}

coro<> all_phases() {
    barrier phase(3);
    int finished = 0;
    co_await gather(work(phase, 1, finished), work(phase, 2, finished), work(phase, 3, finished));
}

int main() try {
    run(all_phases());
    return 0;
} catch (const std::exception& error) {
    std::fprintf(stderr, "async_barrier: %s\n", error.what());
    return 1;
}
