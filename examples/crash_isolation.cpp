// crash_isolation: a hundred tasks, one of which follows a wild pointer. It costs its process and its own result; the
// ninety-nine others are done.
#include <tercet/multiprocessing.hpp>

#include <cstddef>
#include <cstdio>
#include <exception>
#include <vector>

namespace multiprocessing = tercet::multiprocessing;

long task(int number) {
    if (number == 42) {
        volatile long* const wild = reinterpret_cast<long*>(8);
        return *wild;
    }
    return static_cast<long>(number) * number;
}

int main() try {
    multiprocessing::process_pool_executor pool;
    std::vector<tercet::future<long>> calls;
    for (int i = 0; i < 100; ++i) calls.push_back(pool.submit(task, i));

    int done = 0;
    long sum = 0;
    for (std::size_t i = 0; i < calls.size(); ++i) {
        try {
            sum += calls[i].result();
            ++done;
        } catch (const multiprocessing::worker_died& death) {
            std::printf("task %zu: its process died\n", i);
            std::fprintf(stderr, "%s\n", death.what());
        }
    }
    std::printf("%d tasks are done, sum %ld\n", done, sum);
} catch (const std::exception& error) {
    std::fprintf(stderr, "crash_isolation: %s\n", error.what());
    return 1;
}
