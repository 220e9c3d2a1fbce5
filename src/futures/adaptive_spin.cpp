#include <tercet/futures/adaptive_spin.hpp>
#include <tercet/futures/usable_cpus.hpp>

#include <algorithm>

namespace tercet {

namespace {

/// Longer than it takes to wake a thread on another CPU, some 5 to 17 us: else, of two who wait for each other in turn,
/// one that once slept would send the other to sleep each time.
constexpr std::uint32_t least_after_success = 30'000;

}  // namespace

std::uint32_t adaptive_spin::take_budget() noexcept {
    if (has_one_cpu()) return 0;
    const std::uint32_t budget = budget_ns_.load(std::memory_order_relaxed);
    if (budget != 0) return budget;
    const std::uint32_t waits = waits_without_.load(std::memory_order_relaxed) + 1;
    waits_without_.store(waits, std::memory_order_relaxed);
    return waits % tries_again_after == 0 ? most : 0;
}

bool adaptive_spin::succeeded(clock::time_point begin) noexcept {
    // A thread that lost its CPU meanwhile has not spun with success, it has slept.
    const auto needed = std::chrono::nanoseconds(clock::now() - begin).count();
    if (needed > 2 * most)
        failed(most);
    else
        budget_ns_.store(std::clamp(static_cast<std::uint32_t>(needed) * 2, least_after_success, most),
                         std::memory_order_relaxed);
    return true;
}

void adaptive_spin::failed(std::uint32_t budget) noexcept {
    budget_ns_.store(budget / 2 < least ? 0 : budget / 2, std::memory_order_relaxed);
}

}  // namespace tercet
