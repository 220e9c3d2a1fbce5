#include <tercet/futures/cpu_relax.hpp>

#include <algorithm>
#include <chrono>

#include "threading/fifo_gate_protocol.hpp"

namespace tercet::threading {

namespace {

/// How often cpu_relax takes together 400 ns: one takes 10 to 60 of them, as the CPU has it.
int relaxes_of_a_pause() noexcept {
    using clock = std::chrono::steady_clock;
    constexpr int tried = 64;
    auto least = clock::duration::max();
    for (int round = 0; round < 5; ++round) {  // in one of them nobody disturbs
        const auto begin = clock::now();
        for (int i = 0; i < tried; ++i) cpu_relax();
        least = std::min(least, clock::now() - begin);
    }
    const auto each = std::chrono::duration<double, std::nano>(least).count() / tried;
    return static_cast<int>(std::clamp(400 / std::max(each, 1.0), 5.0, 100.0));
}

}  // namespace

void thread_machine::pause() noexcept {
    // Not a static that is made once: the child of a fork would wait for a thread of its parent that was making it.
    static constinit std::atomic<int> measured{0};
    int relaxes = measured.load(std::memory_order_relaxed);
    if (relaxes == 0) [[unlikely]] {
        relaxes = relaxes_of_a_pause();
        measured.store(relaxes, std::memory_order_relaxed);
    }
    for (int i = 0; i < relaxes; ++i) cpu_relax();
}

template class basic_fifo_gate<thread_machine>;

}  // namespace tercet::threading
