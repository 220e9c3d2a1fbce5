#pragma once

#include <tercet/futures/cpu_relax.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>

namespace tercet {

/// Looks a while before a thread goes to sleep, where that has paid before. To be woken on another CPU costs some 17
/// us, so looking costs at most three times that; but where the other side cannot run meanwhile, each look takes its
/// time. Hence a budget that follows the successes: it doubles what the last success needed, halves on each failure,
/// and is zero on one CPU. From nothing, one wait in 64 tries again. Competitive spinning after Karlin, Li, Manasse,
/// Owicki (1991). One object for each place and side of waiting; any thread.
class adaptive_spin {
public:
    static constexpr std::chrono::nanoseconds longest{50'000};

    /// Calls `ready` until it returns true, or the budget is spent: false, and it is time to sleep.
    template <class Ready>
    bool until(Ready&& ready) noexcept(noexcept(ready())) {
        if (ready()) return true;
        const std::uint32_t budget = take_budget();
        if (budget == 0) return false;
        const auto begin = clock::now();
        for (;;) {
            for (int looks = 0; looks < 8; ++looks) {
                if (ready()) return succeeded(begin);
                cpu_relax();
            }
            if (clock::now() - begin > std::chrono::nanoseconds(budget)) break;
        }
        failed(budget);
        return false;
    }

private:
    using clock = std::chrono::steady_clock;
    static constexpr auto most = static_cast<std::uint32_t>(longest.count());
    static constexpr std::uint32_t least = 2'000;
    static constexpr std::uint32_t tries_again_after = 64;

    std::uint32_t take_budget() noexcept;
    bool succeeded(clock::time_point begin) noexcept;
    void failed(std::uint32_t budget) noexcept;

    std::atomic<std::uint32_t> budget_ns_{most};
    std::atomic<std::uint32_t> waits_without_{0};
};

}  // namespace tercet
