// shared_transform: a million numbers that processes share are transformed without being copied. Each call gets the
// handles of two arrays, works on its own part, and returns the sum of that.
#include <tercet/multiprocessing.hpp>

#include <cmath>
#include <cstdio>
#include <vector>

namespace multiprocessing = tercet::multiprocessing;
using multiprocessing::shared_array;

constexpr std::size_t count = 1'000'000;
constexpr std::size_t parts = 8;

/// The loop is vectorised: this file is compiled with -O3 -ffast-math, so that sin and log1p of several numbers at once
/// come from libmvec. The memory of `input` can only be read here.
double transform(shared_array<const double> input, shared_array<double> output, std::size_t part) {
    const std::size_t first = part * count / parts;
    const double* const x = input.data() + first;
    double* const y = output.data() + first;
    double sum = 0;
    for (std::size_t i = 0; i < count / parts; ++i) {
        y[i] = std::sin(2 * x[i]) / 2 + std::log1p(std::abs(x[i]));  // sin(x) * cos(x) + log(1 + |x|)
        sum += y[i];
    }
    return sum;
}

int main() try {
    const shared_array<double> input(count);
    const shared_array<double> output(count);
    for (std::size_t i = 0; i < count; ++i) input[i] = static_cast<double>(i) * 1e-3;

    multiprocessing::process_pool_executor pool;
    std::vector<tercet::future<double>> calls;
    for (std::size_t part = 0; part < parts; ++part)
        calls.push_back(pool.submit(transform, shared_array<const double>(input), output, part));
    double total = 0;
    for (auto& call : calls) total += call.result();

    double seen = 0;  // what the workers wrote is here, without having been sent
    for (const double each : output) seen += each;
    std::printf("sum %.1f, of what is in the array here %.1f\n", total, seen);
} catch (const std::exception& error) {
    std::fprintf(stderr, "shared_transform: %s\n", error.what());
    return 1;
}
