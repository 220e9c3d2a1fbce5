// capacity_limiter: blocking calls in threads, two at once at first and four later.
#include <tercet/asyncio.hpp>

#include <atomic>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <functional>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using namespace tercet::asyncio;

/// How many are inside, and the most that ever were.
struct gauge {
    std::atomic<int> inside = 0;
    std::atomic<int> most = 0;
};

void query(gauge& shared) {
    const int now = ++shared.inside;
    for (int seen = shared.most; seen < now && !shared.most.compare_exchange_weak(seen, now);) {
    }
    std::this_thread::sleep_for(5ms);  // a database, say
    --shared.inside;
}

coro<int> most_at_once(capacity_limiter& limit) {
    gauge shared;
    std::vector<coro<>> calls;
    for (int i = 0; i < 12; ++i) calls.push_back(to_thread({.limiter = &limit}, &query, std::ref(shared)));
    co_await gather(std::move(calls));
    co_return shared.most;
}

coro<> work() {
    capacity_limiter limit(2);
    const int before = co_await most_at_once(limit);
    limit.set_total_tokens(4);
    const int after = co_await most_at_once(limit);
    std::printf("no more than %zu: %s\n", std::size_t{2}, before <= 2 ? "yes" : "no");
    std::printf("no more than %zu: %s\n", limit.total_tokens(), after <= 4 ? "yes" : "no");
}

int main() try {
    run(work());
    return 0;
} catch (const std::exception& error) {
    std::fprintf(stderr, "capacity_limiter: %s\n", error.what());
    return 1;
}
