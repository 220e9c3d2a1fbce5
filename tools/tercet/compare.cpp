#include "compare.hpp"

#include <tercet/futures/usable_cpus.hpp>

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <variant>

#include "child_server.hpp"
#include "compare_report.hpp"
#include "compare_run.hpp"
#include "progress.hpp"
#include "terminal.hpp"

namespace tercet::tools {

namespace {

constexpr std::size_t cpu_items = 4;

/// A workload, ready to run, and where its results go.
struct task {
    std::variant<std::vector<page>, std::vector<square_roots>> items;
    std::size_t concurrency;
    workload_report report;

    std::size_t size() const {
        return std::visit([](const auto& each) { return each.size(); }, items);
    }
};

/// How many threads or processes a model gets. A loop has one thread, whatever runs on it.
std::size_t workers_for(model how, std::size_t concurrency) {
    return how == model::threading || how == model::multiprocessing ? concurrency : 1;
}

task make_task(std::string name, std::string title, bool is_status, decltype(task::items) items,
               std::size_t concurrency, const std::vector<model>& models) {
    task made{.items = std::move(items),
              .concurrency = concurrency,
              .report = {.name = std::move(name), .title = std::move(title), .is_status = is_status, .rows = {}}};
    for (const model each : models)
        made.report.rows.push_back({.how = each, .workers = workers_for(each, concurrency), .runs = {}});
    return made;
}

task make_io_task(const compare_options& options, const std::string& embedded) {
    const std::vector<std::string> urls = options.urls.empty() ? std::vector{embedded + "/delay/1"} : options.urls;
    std::vector<page> pages;
    for (std::size_t i = 0; i < options.requests; ++i)
        pages.push_back({.url = urls[i % urls.size()], .timeout_s = options.timeout_s});
    const std::string to = urls.size() == 1 ? urls.front() : fmt::format("{} URLs", urls.size());
    const auto plural = [](std::size_t count) { return count == 1 ? "" : "s"; };
    std::string title = fmt::format("{} request{} to {}, {} at once, {} run{} each", pages.size(), plural(pages.size()),
                                    to, options.concurrency, options.repeat, plural(options.repeat));
    return make_task("io", std::move(title), true, std::move(pages), options.concurrency, options.models);
}

task make_cpu_task(const compare_options& options) {
    const std::size_t concurrency = std::min(cpu_items, usable_cpus());
    return make_task("cpu",
                     fmt::format("{} × the sum of the square roots below {}, {} CPUs, {} run{} each", cpu_items,
                                 options.below, usable_cpus(), options.repeat, options.repeat == 1 ? "" : "s"),
                     false, std::vector<square_roots>(cpu_items, {.below = options.below}), concurrency,
                     options.models);
}

/// The reports of all workloads, written by the comparison and read by an interrupt.
class results {
public:
    explicit results(std::vector<task>& tasks) : tasks_(tasks) {}

    void add(row& line, run_result result) {
        const std::lock_guard lock(mutex_);
        line.runs.push_back(std::move(result));
    }

    /// Prints what there is; once. Returns whether an item failed. Throws `std::runtime_error` when writing fails.
    bool print(const std::string& json_path) {
        const std::lock_guard lock(mutex_);
        if (std::exchange(is_printed_, true)) return false;
        std::vector<workload_report> reports;
        for (const auto& each : tasks_) reports.push_back(each.report);
        std::string tables;
        bool has_failed = false;
        for (const auto& report : reports) {
            const std::string table = to_table(report, wants_color(STDOUT_FILENO));
            if (!table.empty()) tables += (tables.empty() ? "" : "\n") + table;
            for (const auto& line : report.rows) has_failed = has_failed || (!line.runs.empty() && line.failed() > 0);
        }
        if (json_path == "-") {
            write_output(to_json(reports));
            return has_failed;
        }
        write_output(tables);
        if (json_path.empty()) return has_failed;
        std::ofstream file(json_path, std::ios::trunc);
        file << to_json(reports);
        if (!file.flush()) throw std::runtime_error(fmt::format("--json {}: writing failed", json_path));
        return has_failed;
    }

private:
    static void write_output(const std::string& text) {
        if (!write_all(STDOUT_FILENO, text))
            throw std::runtime_error(fmt::format("standard output: {}", std::strerror(errno)));
    }

    std::mutex mutex_;
    std::vector<task>& tasks_;
    bool is_printed_ = false;
};

}  // namespace

int compare(const compare_options& options, interrupt& interrupts) {
    const bool does_io = std::ranges::find(options.workloads, "io") != options.workloads.end();
    const bool does_cpu = std::ranges::find(options.workloads, "cpu") != options.workloads.end();
    std::optional<child_server> httpbin;
    if (does_io && options.urls.empty()) httpbin.emplace();

    std::vector<task> tasks;
    if (does_io) tasks.push_back(make_io_task(options, httpbin ? httpbin->url() : ""));
    if (does_cpu) tasks.push_back(make_cpu_task(options));
    std::size_t total = 0;
    for (const auto& each : tasks) total += each.size() * options.models.size() * options.repeat;

    results all(tasks);
    progress shown(total);
    const last_words words(interrupts, [&] {
        shown.end();
        write_all(STDERR_FILENO, "tercet: interrupted; what is done:\n");
        try {
            all.print(options.json_path);
        } catch (const std::exception& error) {
            write_all(STDERR_FILENO, fmt::format("tercet: {}\n", error.what()));
        }
        if (httpbin) httpbin->kill();
    });

    for (auto& each : tasks)
        for (std::size_t repeat = 1; repeat <= options.repeat;
             ++repeat)  // in turn, so that noise meets every model alike
            for (auto& line : each.report.rows) {
                shown.begin(
                    fmt::format("{}: {}, run {} of {}", each.report.name, name_of(line.how), repeat, options.repeat));
                all.add(line, std::visit(
                                  [&](const auto& items) {
                                      return run(line.how, items, each.concurrency, [&shown] { shown.tick(); });
                                  },
                                  each.items));
            }

    shown.end();
    return all.print(options.json_path) ? 1 : 0;
}

}  // namespace tercet::tools
