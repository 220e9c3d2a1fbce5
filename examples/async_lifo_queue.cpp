// async_lifo_queue: a walk through a tree by several tasks, which take the newest branch first, so few wait.
#include <tercet/asyncio.hpp>

#include <cstdio>
#include <vector>

using namespace std::chrono_literals;
using namespace tercet::asyncio;

struct branch {
    int depth;
};

/// Every branch has two more until the tree is ten deep.
coro<> walk(lifo_queue<branch>& left, int& leaves) {
    while (auto next = co_await left.next()) {
        co_await sleep(0s);  // as a disk would make it wait
        if (next->depth == 10) {
            ++leaves;
        } else {
            const branch deeper{next->depth + 1};
            left.put_nowait(deeper);
            left.put_nowait(deeper);
        }
        left.task_done();
    }
}

coro<int> count_leaves() {
    auto left = lifo_queue<branch>::unbounded();
    int leaves = 0;
    left.put_nowait(branch{0});
    std::vector<task<>> walkers;
    for (int i = 0; i < 4; ++i) walkers.push_back(create_task(walk(left, leaves)));
    co_await left.join();
    left.shutdown();
    for (const task<>& each : walkers) co_await each;
    co_return leaves;
}

int main() { std::printf("%d leaves\n", run(count_leaves())); }
