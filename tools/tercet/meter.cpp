#include "meter.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <string>

namespace tercet::tools {

namespace {

rusage usage_of_this_process() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return usage;
}

double cpu_seconds(const rusage& usage) {
    const auto seconds = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/// Makes the kernel forget this process's peak (proc(5), clear_refs). Where it cannot, peaks are those since the start.
void reset_peak() {
    const int file = ::open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    if (file < 0) return;
    [[maybe_unused]] const auto written = ::write(file, "5", 1);
    ::close(file);
}

std::uint64_t peak_of_this_process() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);)
        if (line.starts_with("VmHWM:")) return std::stoull(line.substr(6)) * 1024;
    return static_cast<std::uint64_t>(usage_of_this_process().ru_maxrss) * 1024;
}

/// Where the kernel counts it (proc(5), schedstat); zero elsewhere.
double run_delay_of_this_thread() {
    std::ifstream file("/proc/thread-self/schedstat");
    double run_ns = 0;
    double delay_ns = 0;
    file >> run_ns >> delay_ns;
    return delay_ns * 1e-9;
}

}  // namespace

meter::meter() {
    reset_peak();
    cpu_s_ = cpu_seconds(usage_of_this_process());
    run_delay_s_ = run_delay_of_this_thread();
    start_ = std::chrono::steady_clock::now();
}

measurement meter::stop() const {
    const auto end = std::chrono::steady_clock::now();
    return {.wall_s = std::chrono::duration<double>(end - start_).count(),
            .cpu_s = cpu_seconds(usage_of_this_process()) - cpu_s_,
            .run_delay_s = run_delay_of_this_thread() - run_delay_s_,
            .peak_rss_bytes = peak_of_this_process()};
}

}  // namespace tercet::tools
