// Two processes that make numbers, one that adds them up, and a pipe on which it says what came out.

#include <tercet/multiprocessing.hpp>

#include <cstdio>
#include <optional>

using tercet::multiprocessing::connection;
using tercet::multiprocessing::pipe;
using tercet::multiprocessing::process;
using tercet::multiprocessing::queue;

namespace {

void produce(queue<std::optional<int>> out, int first, int last) {
    for (int n = first; n <= last; ++n) out.put(n);
}

void add_up(queue<std::optional<int>> in, connection result) {
    long sum = 0;
    int count = 0;
    while (const auto n = in.get()) {
        sum += *n;
        ++count;
    }
    result.send(count);
    result.send(sum);
}

}  // namespace

int main() {
    queue<std::optional<int>> numbers(100);
    auto [here, there] = pipe(false);
    process adder({.name = "adder"}, add_up, numbers, there);
    process first(produce, numbers, 1, 500);
    process second(produce, numbers, 501, 1'000);
    for (process* const each : {&adder, &first, &second}) each->start();
    there.close();
    first.join();
    second.join();
    numbers.put(std::nullopt);  // nothing more will come
    const int count = here.recv<int>();
    std::printf("%d numbers, sum %ld\n", count, here.recv<long>());
    adder.join();
    std::printf("%s ended with %d\n", adder.name().c_str(), adder.exitcode().value());
}
