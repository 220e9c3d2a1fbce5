#include <tercet/futures/usable_cpus.hpp>

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <thread>

namespace tercet {

std::size_t usable_cpus() noexcept {
    cpu_set_t set;
    CPU_ZERO(&set);
    // Fails on machines with more CPUs than cpu_set_t has bits; those have enough of them to take the other number.
    if (::sched_getaffinity(0, sizeof set, &set) == 0) return static_cast<std::size_t>(std::max(1, CPU_COUNT(&set)));
    return std::max(1U, std::thread::hardware_concurrency());
}

bool has_one_cpu() noexcept {
    static constinit std::atomic<std::size_t> at_first{0};
    std::size_t cpus = at_first.load(std::memory_order_relaxed);
    if (cpus == 0) [[unlikely]] {
        cpus = usable_cpus();
        at_first.store(cpus, std::memory_order_relaxed);
    }
    return cpus == 1;
}

}  // namespace tercet
