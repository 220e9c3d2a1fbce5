// memory_channel: a pipeline whose stages end by themselves when the one before them has closed its end.
#include <tercet/asyncio.hpp>

#include <cstdio>
#include <exception>
#include <utility>

using namespace tercet::asyncio;

/// Has an end of its own, which closes when it ends: the last one to end closes the channel.
coro<> count(memory_send_channel<int> numbers, int first, int last) {
    for (int i = first; i <= last; ++i) co_await numbers.send(i);
}

coro<> square(memory_receive_channel<int> numbers, memory_send_channel<long> squares) {
    while (auto number = co_await numbers.next()) {
        const long result = long{*number} * *number;
        co_await squares.send(result);
    }
}

coro<> sum(memory_receive_channel<long> squares, long& total) {
    while (auto each = co_await squares.next()) total += *each;
}

coro<long> work() {
    auto numbers = open_memory_channel<int>(2);
    auto squares = open_memory_channel<long>();
    long total = 0;
    auto more = numbers.sender.clone();
    auto other_worker = numbers.receiver.clone();
    auto more_squares = squares.sender.clone();
    co_await gather(count(std::move(numbers.sender), 1, 5), count(std::move(more), 6, 10),
                    square(std::move(numbers.receiver), std::move(squares.sender)),
                    square(std::move(other_worker), std::move(more_squares)), sum(std::move(squares.receiver), total));
    co_return total;
}

int main() try {
    const long total = run(work());
    std::printf("the sum of the squares of 1 to 10 is %ld\n", total);
    return total == 385 ? 0 : 1;
} catch (const std::exception& error) {
    std::fprintf(stderr, "memory_channel: %s\n", error.what());
    return 1;
}
