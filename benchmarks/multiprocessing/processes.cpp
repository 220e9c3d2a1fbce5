#include "processes.hpp"

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>

namespace tercet::benchmarks {

namespace {

double cpu_ms(clockid_t clock) {
    timespec used{};
    if (::clock_gettime(clock, &used) != 0) throw std::system_error(errno, std::generic_category(), "clock_gettime");
    return static_cast<double>(used.tv_sec) * 1e3 + static_cast<double>(used.tv_nsec) / 1e6;
}

double cpu_ms(const std::vector<pid_t>& pids) {
    double sum = 0;
    for (const pid_t pid : pids) {
        clockid_t clock = 0;
        if (const int error = ::clock_getcpuclockid(pid, &clock); error != 0)
            throw std::system_error(error, std::generic_category(), "the CPU clock of process " + std::to_string(pid));
        sum += cpu_ms(clock);
        if (pid == ::getpid()) sum -= cpu_ms(CLOCK_THREAD_CPUTIME_ID);
    }
    return sum;
}

}  // namespace

std::vector<pid_t> family_of(pid_t pid) {
    std::vector<pid_t> family{pid};
    for (std::size_t i = 0; i < family.size(); ++i)
        for (const auto& thread : std::filesystem::directory_iterator("/proc/" + std::to_string(family[i]) + "/task")) {
            std::ifstream children(thread.path() / "children");
            for (pid_t child = 0; children >> child;) family.push_back(child);
        }
    return family;
}

double idle_cpu(const std::vector<pid_t>& pids, int divisor) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));  // until all have gone to sleep
    const double before = cpu_ms(pids);
    std::this_thread::sleep_for(std::chrono::milliseconds(10'000 / divisor));
    return std::max(0.0, cpu_ms(pids) - before) * divisor;  // two clocks are not read at once
}

double private_memory(const std::vector<pid_t>& pids) {
    double sum = 0;
    for (const pid_t pid : pids) {
        const std::string path = "/proc/" + std::to_string(pid) + "/smaps_rollup";
        std::ifstream file(path);
        int lines = 0;
        for (std::string word; file >> word;) {
            if (!word.starts_with("Private_")) continue;
            double kib = 0;
            file >> kib;
            sum += kib;
            ++lines;
        }
        if (lines == 0) throw std::runtime_error("nothing about memory in " + path);
    }
    return sum / static_cast<double>(pids.size());
}

}  // namespace tercet::benchmarks
