#include <gtest/gtest.h>
#include <stress/stress_run.hpp>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

double seconds() {
    const char* const given = std::getenv("TERCET_STRESS_SECONDS");
    return given ? std::stod(given) : 2.0;
}

std::uint64_t seed() {
    const char* const given = std::getenv("TERCET_STRESS_SEED");
    return given ? std::stoull(given) : std::random_device()();
}

}  // namespace

stress_run::stress_run() : seed_(seed()) {
    const std::chrono::duration<double> share(seconds() / testing::UnitTest::GetInstance()->total_test_count());
    end_ = std::chrono::steady_clock::now() + std::chrono::duration_cast<std::chrono::nanoseconds>(share);
}

stress_run::~stress_run() {
    if (testing::Test::HasFailure())
        std::fprintf(stderr, "failed in round %llu; TERCET_STRESS_SEED=%llu makes the same choices\n",
                     static_cast<unsigned long long>(rounds_), static_cast<unsigned long long>(seed_));
    testing::Test::RecordProperty("rounds", std::to_string(rounds_));
}

bool stress_run::goes_on() {
    if (testing::Test::HasFailure()) return false;
    return rounds_++ == 0 || std::chrono::steady_clock::now() < end_;
}

std::mt19937_64 stress_run::choices() {
    std::seed_seq sequence{seed_, seed_ >> 32U, ++given_};
    return std::mt19937_64(sequence);
}
