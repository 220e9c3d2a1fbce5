// async_lock: a hundred tasks add to an account with a wait in the middle, and nothing gets lost.
#include <tercet/asyncio.hpp>

#include <cstdio>
#include <vector>

using namespace std::chrono_literals;
using namespace tercet::asyncio;

/// Tasks of one loop take turns only where they await, so most code needs no lock. This does: it awaits between reading
/// and writing.
class account {
public:
    coro<> deposit(int amount) {
        const auto guard = co_await lock_.scoped();
        const int before = balance_;
        co_await sleep(0s);  // as a database would make it wait
        balance_ = before + amount;
    }
    int balance() const { return balance_; }

private:
    lock lock_;
    int balance_ = 0;
};

coro<int> work() {
    account shared;
    std::vector<coro<>> deposits;
    for (int i = 0; i < 100; ++i) deposits.push_back(shared.deposit(1));
    co_await gather(std::move(deposits));
    co_return shared.balance();
}

int main() try {
    const int balance = run(work());
    std::printf("%d\n", balance);
    return balance == 100 ? 0 : 1;
} catch (const std::exception& error) {
    std::fprintf(stderr, "async_lock: %s\n", error.what());
    return 1;
}
