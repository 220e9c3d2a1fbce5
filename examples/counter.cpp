// counter: a hundred threads add to one counter, under a lock, and nothing gets lost.
#include <tercet/threading.hpp>

#include <cstdio>
#include <mutex>
#include <vector>

namespace threading = tercet::threading;

constexpr int thread_count = 100;
constexpr int additions = 1'000;  // of each thread

/// Threads share all memory. What one of them changes while others use it needs a lock: an addition reads, adds and
/// writes. Without the lock this is a data race, and C++ promises nothing: neither a total nor an error.
class counter {
public:
    void add_one() {
        const std::lock_guard guard(lock_);
        ++value_;
    }
    int value() {
        const std::lock_guard guard(lock_);
        return value_;
    }

private:
    threading::lock lock_;
    int value_ = 0;
};

int main() try {
    counter total;
    std::vector<threading::thread> threads;
    for (int i = 0; i < thread_count; ++i)
        threads.emplace_back([&total] {
            for (int k = 0; k < additions; ++k) total.add_one();
        });
    for (auto& each : threads) each.start();
    for (auto& each : threads) each.join();
    std::printf("%d\n", total.value());
    return total.value() == thread_count * additions ? 0 : 1;
} catch (const std::exception& error) {
    std::fprintf(stderr, "counter: %s\n", error.what());
    return 1;
}
