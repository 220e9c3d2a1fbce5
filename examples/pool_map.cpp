// pool_map: Python's
//
//     with Pool(processes=4) as pool:
//         results = pool.map(compute, [1_000_000] * 8)
//
// and the same results one by one, as they are ready.
#include <tercet/multiprocessing.hpp>

#include <cstdio>
#include <exception>
#include <vector>

namespace multiprocessing = tercet::multiprocessing;

long compute(long n) {
    long sum = 0;
    for (long i = 0; i < n; ++i) sum += i * i;
    return sum;
}

int main() try {
    multiprocessing::pool pool(4);
    for (const long each : pool.map(compute, std::vector<long>(8, 1'000'000))) std::printf("%ld\n", each);

    long total = 0;
    for (const long each : pool.imap_unordered(compute, std::vector<long>{10, 100, 1'000})) total += each;
    std::printf("sum of three: %ld\n", total);

    auto later =
        pool.apply_async({.callback = [](long& sum) { std::printf("called back with %ld\n", sum); }}, compute, 10);
    later.wait();
    pool.close();
    pool.join();
} catch (const std::exception& error) {
    std::fprintf(stderr, "pool_map: %s\n", error.what());
    return 1;
}
