#include "compare_report.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <map>

#include "machine.hpp"
#include "terminal.hpp"
#include "verdict.hpp"

namespace tercet::tools {

namespace {

constexpr double mebibyte = 1024.0 * 1024.0;

std::vector<double> figures(const std::vector<run_result>& runs, double measurement::*figure) {
    std::vector<double> values;
    for (const auto& each : runs) values.push_back(each.cost.*figure);
    return values;
}

double median_of(const std::vector<run_result>& runs, double measurement::*figure) {
    return spread_of(figures(runs, figure)).median;
}

/// "5 × 200", or the value when all are the same, or a list: each result once, with how often it came.
std::string summary_of(const row& line, bool is_status, bool color) {
    std::map<std::string, std::size_t> counts;
    std::vector<std::string> order;
    for (const auto& item : line.items()) {
        const std::string text = !item.error.empty() ? red("error: " + item.error, color)
                                 : is_status         ? fmt::format("{:.0f}", item.value)
                                                     : fmt::format("{:.6e}", item.value);
        if (counts[text]++ == 0) order.push_back(text);
    }
    std::string summary;
    for (const auto& text : order) summary += fmt::format("{}{} × {}", summary.empty() ? "" : ", ", counts[text], text);
    return summary;
}

}  // namespace

spread spread_of(std::vector<double> values) {
    if (values.empty()) return {};
    std::ranges::sort(values);
    const std::size_t middle = values.size() / 2;
    const double median = values.size() % 2 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
    return {.median = median, .min = values.front(), .max = values.back()};
}

spread row::wall_s() const { return spread_of(figures(runs, &measurement::wall_s)); }

double row::cpu_s() const { return median_of(runs, &measurement::cpu_s); }

double row::run_delay_s() const { return median_of(runs, &measurement::run_delay_s); }

double row::peak_rss_bytes() const {
    std::uint64_t most = 0;
    for (const auto& each : runs) most = std::max(most, each.cost.peak_rss_bytes);
    return static_cast<double>(most);
}

const std::vector<item_result>& row::items() const {
    const auto failures = [](const run_result& each) {
        return std::ranges::count_if(each.items, [](const auto& item) { return !item.error.empty(); });
    };
    return std::ranges::max_element(runs, {}, failures)->items;
}

std::size_t row::failed() const {
    return static_cast<std::size_t>(
        std::ranges::count_if(items(), [](const auto& item) { return !item.error.empty(); }));
}

const row* workload_report::baseline() const {
    for (const auto& each : rows)
        if (each.how == model::sequential && !each.runs.empty() && each.failed() == 0) return &each;
    return nullptr;
}

const row* workload_report::fastest() const {
    const row* best = nullptr;
    const auto is_better = [](const row& a, const row& b) {
        if ((a.failed() == 0) != (b.failed() == 0)) return a.failed() == 0;
        return a.wall_s().median < b.wall_s().median;
    };
    for (const auto& each : rows)
        if (!each.runs.empty() && (!best || is_better(each, *best))) best = &each;
    return best;
}

std::string to_table(const workload_report& report, bool color) {
    const row* const best = report.fastest();
    if (!best) return {};
    const row* const base = report.baseline();
    std::string text = fmt::format("{}: {}\n\n", bold(report.name, color), report.title);
    text += fmt::format("{:<15}  {:>7}  {:>8}  {:<17}  {:>8}  {:>7}  {:>8}  {}\n", "model", "workers", "wall s",
                        "(range)", "speed-up", "CPU s", "peak MiB", "results");
    for (const auto& each : report.rows) {
        if (each.runs.empty()) continue;
        const spread wall = each.wall_s();
        const std::string line =
            fmt::format("{:<15}  {:>7}  {:>8.3f}  {:<17}  {:>8}  {:>7.3f}  {:>8.1f}  ", name_of(each.how), each.workers,
                        wall.median, fmt::format("({:.3f} – {:.3f})", wall.min, wall.max),
                        base && each.failed() == 0 ? fmt::format("{:.2f}×", base->wall_s().median / wall.median) : "–",
                        each.cpu_s(), each.peak_rss_bytes() / mebibyte);
        text += bold(line, color && &each == best) + summary_of(each, report.is_status, color) + "\n";
    }
    return text + "\n" + verdict(report) + "\n";
}

std::string to_json(const std::vector<workload_report>& reports) {
    using json = nlohmann::ordered_json;
    const machine_description machine = describe_machine();
    json result{{"version", 1},
                {"machine",
                 {{"usable_cpus", machine.usable_cpus},
                  {"cpu", machine.cpu},
                  {"memory_bytes", machine.memory_bytes},
                  {"kernel", machine.kernel},
                  {"compiler", machine.compiler}}},
                {"workloads", json::array()}};
    for (const auto& report : reports) {
        const row* const best = report.fastest();
        if (!best) continue;
        const row* const base = report.baseline();
        json rows = json::array();
        for (const auto& each : report.rows) {
            if (each.runs.empty()) continue;
            const spread wall = each.wall_s();
            json results = json::array();
            for (const auto& item : each.items()) {
                if (!item.error.empty())
                    results.push_back("error: " + item.error);
                else if (report.is_status)
                    results.push_back(static_cast<int>(item.value));
                else
                    results.push_back(item.value);
            }
            rows.push_back(
                {{"model", name_of(each.how)},
                 {"workers", each.workers},
                 {"wall_s", {{"median", wall.median}, {"min", wall.min}, {"max", wall.max}}},
                 {"speedup", base && each.failed() == 0 ? json(base->wall_s().median / wall.median) : json(nullptr)},
                 {"cpu_s", each.cpu_s()},
                 {"peak_rss_bytes", static_cast<std::uint64_t>(each.peak_rss_bytes())},
                 {"ok", each.items().size() - each.failed()},
                 {"failed", each.failed()},
                 {"results", std::move(results)}});
        }
        result["workloads"].push_back(
            {{"name", report.name}, {"rows", std::move(rows)}, {"fastest", name_of(best->how)}});
    }
    return result.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace tercet::tools
