// async_priority_queue: what is urgent goes first, and equals in the order in which they came.
#include <tercet/asyncio.hpp>

#include <cstdio>
#include <string>

using namespace tercet::asyncio;

struct job {
    int priority;
    std::string name;
    bool operator<(const job& other) const { return priority < other.priority; }
};

coro<> print_all(priority_queue<job>& jobs) {
    while (auto next = co_await jobs.next()) std::printf("%d %s\n", next->priority, next->name.c_str());
}

coro<> work() {
    priority_queue<job> jobs(10);
    co_await jobs.emplace(2, "write the report");  // made inside of the queue
    co_await jobs.emplace(1, "answer the phone");
    co_await jobs.emplace(2, "sort the mail");
    co_await jobs.emplace(0, "put out the fire");
    jobs.shutdown();
    co_await print_all(jobs);
}

int main() try {
    run(work());
    return 0;
} catch (const std::exception& error) {
    std::fprintf(stderr, "async_priority_queue: %s\n", error.what());
    return 1;
}
