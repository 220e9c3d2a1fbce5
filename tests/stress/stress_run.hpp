#pragma once

#include <chrono>
#include <cstdint>
#include <random>

/// One test of the stress program: it goes round until its share of the time is over. The time of the whole program is
/// TERCET_STRESS_SECONDS, two by default. What the rounds choose follows from a seed, TERCET_STRESS_SEED or another one
/// each time, which is told when something fails; how the threads meet does not.
class stress_run {
public:
    stress_run();
    ~stress_run();
    stress_run(const stress_run&) = delete;
    stress_run& operator=(const stress_run&) = delete;

    /// Whether there is time for another round. There is always time for one.
    bool goes_on();

    /// Choices of the next round, or of a thread of it.
    std::mt19937_64 choices();

private:
    std::chrono::steady_clock::time_point end_;
    std::uint64_t seed_;
    std::uint64_t given_ = 0;
    std::uint64_t rounds_ = 0;
};

/// A number from 0 to `most`.
template <class Choices>
std::uint64_t up_to(std::uint64_t most, Choices& choices) {
    return choices() % (most + 1);
}
