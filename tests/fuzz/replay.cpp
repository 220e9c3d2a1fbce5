// In the place of libFuzzer, in builds without it: some thousand inputs from a seed, the same each time, so that the
// fuzz targets stay in order. `NAME FILE...` gives it files, such as the ones that libFuzzer leaves.

#include <chrono>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

#include "fuzz_input.hpp"

int main(int argc, char** argv) {
    for (int i = 1; i < argc; ++i) {
        std::ifstream file(argv[i], std::ios::binary);
        const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
        LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
    }
    if (argc > 1) return 0;
    std::mt19937_64 choices(1);
    std::vector<std::uint8_t> input;
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);  // under a sanitizer
    int count = 0;
    for (; count < 20'000 && std::chrono::steady_clock::now() < end; ++count) {
        if (count % 4 == 0) input.resize(choices() % 200);
        // Small numbers, as counts and kinds are; now and then anything.
        for (auto& each : input)
            if (choices() % 4 == 0) each = static_cast<std::uint8_t>(choices() % (choices() % 8 == 0 ? 256 : 9));
        LLVMFuzzerTestOneInput(input.data(), input.size());
    }
    std::printf("%d inputs\n", count);
}
