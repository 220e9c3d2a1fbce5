#include "verdict.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace tercet::tools {

namespace {

/// Work that is on a CPU for less than this part of its time waits; for more than one minus it, it computes.
constexpr double little = 0.2;

/// More of its time than this in the queue for a CPU, and a run says more about the machine's other work than about its
/// own.
constexpr double busy_machine = 0.1;

/// The part of its time, not counting what it spent in the queue for a CPU, for which a worker was on one.
double busyness_of(const row& each) {
    const double wall = each.wall_s().median;
    const bool is_one_thread = each.how == model::sequential || each.how == model::asyncio;
    const double able_to_run = is_one_thread ? wall - each.run_delay_s() : wall * static_cast<double>(each.workers);
    return std::clamp(each.cpu_s() / std::max(able_to_run, 1e-9), 0.0, 1.0);
}

/// How many CPUs were at work at once, on average.
double cpus_used(const row& each) { return each.cpu_s() / each.wall_s().median; }

std::string workers_of(const row& each, std::size_t items) {
    switch (each.how) {
        case model::sequential:
            return "one after another on one thread";
        case model::threading:
            return fmt::format("on {} thread{}", each.workers, each.workers == 1 ? "" : "s");
        case model::multiprocessing:
            return fmt::format("in {} process{}", each.workers, each.workers == 1 ? "" : "es");
        case model::asyncio:
            return items == 1 ? "in one coroutine" : "in coroutines on one thread";
    }
    return {};
}

std::string list_of_names(const std::vector<const row*>& rows) {
    std::string text;
    for (std::size_t i = 0; i < rows.size(); ++i)
        text += fmt::format("{}{}", i == 0 ? "" : i + 1 == rows.size() ? " and " : ", ", name_of(rows[i]->how));
    return text;
}

}  // namespace

std::string verdict(const workload_report& report) {
    const row* const best = report.fastest();
    if (!best) return {};
    const auto measured = std::ranges::count_if(report.rows, [](const row& each) { return !each.runs.empty(); });
    const std::size_t items = best->items().size();
    if (best->failed() > 0)
        return fmt::format("No model is the fastest: items failed in each of them ({} of {} in {}).", best->failed(),
                           items, name_of(best->how));
    if (measured == 1) return fmt::format("{} ran alone; there is nothing to compare it with.", name_of(best->how));

    // Rows whose range overlaps the best one's cannot be told from it.
    std::vector<const row*> equals;
    for (const auto& each : report.rows)
        if (&each != best && !each.runs.empty() && each.failed() == 0 && each.wall_s().min <= best->wall_s().max)
            equals.push_back(&each);
    std::string text = fmt::format("{} is fastest", name_of(best->how));
    if (!equals.empty()) text += fmt::format(" (within the spread of {})", list_of_names(equals));

    const row* const base = report.baseline();
    const row& sample = base ? *base : *best;
    const double busy = busyness_of(sample);
    if (busy < little) {
        text += fmt::format(
            ": the work waits ({:.0f}% of the {} time was spent on a CPU), so what counts is how many waits overlap, "
            "and it waits for {} items {} with {:.3f} s of CPU.",
            100 * busy, base ? "sequential" : "run's", items, workers_of(*best, items), best->cpu_s());
    } else if (busy > 1 - little) {
        text += fmt::format(
            ": the work computes ({:.0f}% of the {} time was spent on a CPU), so what counts is how many CPUs work at "
            "once, and it kept {:.2f} of them busy {}",
            100 * busy, base ? "sequential" : "run's", cpus_used(*best), workers_of(*best, items));
        for (const auto& each : report.rows)
            if (each.how == model::asyncio && !each.runs.empty() && each.failed() == 0 && &each != best)
                text += fmt::format("; coroutines share one thread, and kept {:.2f} busy", cpus_used(each));
        text += ".";
    } else {
        text += fmt::format(
            ": the work both waits and computes ({:.0f}% of the {} time was spent on a CPU), and it did {} items {}.",
            100 * busy, base ? "sequential" : "run's", items, workers_of(*best, items));
    }
    if (base && base->run_delay_s() > busy_machine * base->wall_s().median)
        text += fmt::format(
            " The machine was busy with other work: the sequential run spent {:.2f} s of {:.2f} s in the queue for a "
            "CPU, "
            "so take the times with care.",
            base->run_delay_s(), base->wall_s().median);
    return text;
}

}  // namespace tercet::tools
