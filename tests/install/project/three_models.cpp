#include <tercet/asyncio.hpp>
#include <tercet/multiprocessing.hpp>
#include <tercet/threading.hpp>

#include <cstdio>
#include <vector>

int square(int n) { return n * n; }
tercet::asyncio::coro<int> square_soon(int n) { co_return n* n; }

void print(const char* model, auto&& results) {
    std::printf("%s:", model);
    for (auto& each : results) std::printf(" %d", each);
    std::printf("\n");
    std::fflush(stdout);
}

tercet::asyncio::coro<std::vector<int>> squares(const std::vector<int>& numbers) {
    std::vector<tercet::asyncio::coro<int>> calls;
    for (const int each : numbers) calls.push_back(square_soon(each));
    co_return co_await tercet::asyncio::gather(std::move(calls));
}

int main() {
    const std::vector<int> numbers{0, 1, 2, 3, 4};
    tercet::threading::thread_pool_executor threads(2);
    print("threading", threads.map(square, numbers));
    tercet::multiprocessing::process_pool_executor processes(2);
    print("multiprocessing", processes.map(square, numbers));
    print("asyncio", tercet::asyncio::run(squares(numbers)));
}
