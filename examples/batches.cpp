// batches: eight batches of a million numbers, of which those above 50 are counted and added up; first here, one batch
// after the other, and then in the processes of a pool. The numbers are copied there, which for so little work takes
// longer than the work itself.
#include <tercet/multiprocessing.hpp>

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <random>
#include <vector>

namespace multiprocessing = tercet::multiprocessing;

struct summary {
    std::size_t count = 0;
    long sum = 0;
    double average = 0;
    friend bool operator==(const summary&, const summary&) = default;
};

summary process_batch(const std::vector<int>& batch) {
    summary result;
    for (const int each : batch)
        if (each > 50) {
            ++result.count;
            result.sum += each;
        }
    if (result.count != 0) result.average = static_cast<double>(result.sum) / static_cast<double>(result.count);
    return result;
}

std::vector<std::vector<int>> generate_batches(std::size_t count, std::size_t size) {
    std::minstd_rand random(1);
    std::vector<std::vector<int>> batches(count);
    for (auto& batch : batches)
        for (std::size_t i = 0; i < size; ++i) batch.push_back(static_cast<int>(random() % 101));
    return batches;
}

double seconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

int main() try {
    const auto batches = generate_batches(8, 1'000'000);

    auto start = std::chrono::steady_clock::now();
    std::vector<summary> expected;
    for (const auto& batch : batches) expected.push_back(process_batch(batch));
    std::fprintf(stderr, "sequential: %.3f s\n", seconds_since(start));

    start = std::chrono::steady_clock::now();
    multiprocessing::pool pool;
    const std::vector<summary> results = pool.map(process_batch, batches, 1);
    std::fprintf(stderr, "multiprocessing: %.3f s\n", seconds_since(start));

    const summary& first = results.front();
    std::printf("first of %zu batches: count %zu, sum %ld, average %.2f\n", results.size(), first.count, first.sum,
                first.average);
    std::printf("%s\n", results == expected ? "the same in both" : "they differ");
} catch (const std::exception& error) {
    std::fprintf(stderr, "batches: %s\n", error.what());
    return 1;
}
