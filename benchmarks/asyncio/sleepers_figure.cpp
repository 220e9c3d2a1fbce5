#include <time.h>
#include <unistd.h>

#include <fstream>

#include "work.hpp"

namespace tercet::benchmarks {

std::size_t resident_bytes() {
    std::ifstream statm("/proc/self/statm");
    std::size_t size = 0;
    std::size_t resident = 0;
    statm >> size >> resident;
    check(static_cast<bool>(statm), "/proc/self/statm");
    return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

std::chrono::nanoseconds cpu_time() {
    timespec used{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

void sleepers_figure::begin() {
    resident_ = resident_bytes();
    cpu_ = cpu_time();
}

void sleepers_figure::all_sleep() { bytes_ = static_cast<double>(resident_bytes() - resident_); }

void sleepers_figure::end(long woken) {
    cpu_ms_ = std::chrono::duration<double, std::milli>(cpu_time() - cpu_).count();
    check(woken == count_, "how many woke");
}

}  // namespace tercet::benchmarks
