// async_semaphore: ten tasks, of which three at a time use what there are three of; and a release too many is told.
#include <tercet/asyncio.hpp>

#include <algorithm>
#include <cstdio>
#include <stdexcept>
#include <vector>

using namespace std::chrono_literals;
using namespace tercet::asyncio;

coro<> use(bounded_semaphore& free_ones, int& in_use, int& most) {
    const auto permit = co_await free_ones.scoped();
    most = std::max(most, ++in_use);
    co_await sleep(5ms);
    --in_use;
}

coro<int> work() {
    bounded_semaphore free_ones(3);
    int in_use = 0;
    int most = 0;
    std::vector<coro<>> users;
    for (int i = 0; i < 10; ++i) users.push_back(use(free_ones, in_use, most));
    co_await gather(std::move(users));
    try {
        free_ones.release();
    } catch (const std::invalid_argument&) {
        std::printf("one release too many\n");
    }
    co_return most;
}

int main() { std::printf("at most %d at once\n", run(work())); }
