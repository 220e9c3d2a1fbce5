// Every figure is taken by a process of its own, this program again with `--measure ROW CONTENDER`, so that the threads
// that one contender leaves spinning, or its memory, are not the next one's trouble. Rounds are outermost: within a
// round the contenders of a row follow each other, and each round begins with another one, so what else the machine
// does meets all alike.

#include "driver.hpp"

#include <fmt/format.h>
#include <fnmatch.h>
#include <nlohmann/json.hpp>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include "machine.hpp"

namespace tercet::benchmarks {

namespace {

constexpr unsigned seconds_for_a_figure = 120;
constexpr std::string_view us = "tercet";
constexpr double pinned_limit = 1.5;

class usage_error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

struct measurement {
    std::string_view row;
    std::string_view contender;
    measure* run;
};

std::vector<measurement>& measurements() {
    static std::vector<measurement> all;
    return all;
}

struct series {
    const measurement* what;
    std::vector<double> figures{};
};

enum class role { limit, tercet, peer };

role role_of(std::string_view contender) {
    const std::string_view family = contender.substr(0, contender.find('/'));
    return family == limit ? role::limit : family == us ? role::tercet : role::peer;
}

struct row_result {
    const row* what;
    std::vector<series> contenders{};

    const series* find(std::string_view name) const {
        for (const auto& each : contenders)
            if (each.what->contender == name && !each.figures.empty()) return &each;
        return nullptr;
    }
    const series* best(role among) const {
        const series* found = nullptr;
        for (const auto& each : contenders) {
            if (role_of(each.what->contender) != among || each.figures.empty()) continue;
            if (!found || median_of(each.figures) < median_of(found->figures)) found = &each;
        }
        return found;
    }
};

struct options {
    std::size_t rounds = 7;
    std::string only{};
    std::string row{};
    std::string json{};
    bool is_pinned = false;
};

std::string own_path() {
    std::string path(4096, '\0');
    const auto size = ::readlink("/proc/self/exe", path.data(), path.size());
    if (size < 0) throw std::system_error(errno, std::generic_category(), "reading /proc/self/exe");
    path.resize(static_cast<std::size_t>(size));
    return path;
}

/// By row and contender.
using figures_of_others = std::map<std::pair<std::string, std::string>, double>;

/// The figure that a process has printed, and before it those of other rows.
double read_figures(const std::string& text, std::string_view contender, figures_of_others& others) {
    std::istringstream lines(text);
    std::string last;
    for (std::string line; std::getline(lines, line);) {
        if (const auto space = line.find(' '); space != std::string::npos)
            others[{line.substr(0, space), std::string(contender)}] = std::stod(line.substr(space));
        else
            last = line;
    }
    return std::stod(last);
}

/// One figure of `what`, by a process of its own. Nothing when that failed; it has said why.
std::optional<double> figure_of(const measurement& what, figures_of_others& others) {
    const auto known = others.find({std::string(what.row), std::string(what.contender)});
    if (known != others.end()) return known->second;
    int ends[2];
    if (::pipe(ends) != 0) throw std::system_error(errno, std::generic_category(), "pipe");
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    ::posix_spawn_file_actions_addclose(&actions, ends[0]);
    ::posix_spawn_file_actions_addclose(&actions, ends[1]);
    static const std::string program = own_path();
    std::string row(what.row);
    std::string name(what.contender);
    std::string measure_flag = "--measure";
    std::string program_name = program;
    char* arguments[] = {program_name.data(), measure_flag.data(), row.data(), name.data(), nullptr};
    pid_t child = 0;
    const int error = ::posix_spawn(&child, program.c_str(), &actions, nullptr, arguments, ::environ);
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(ends[1]);
    if (error != 0) {
        ::close(ends[0]);
        throw std::system_error(error, std::generic_category(), "starting " + program);
    }

    std::string text;
    char part[256];
    for (;;) {
        const ssize_t got = ::read(ends[0], part, sizeof part);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        text.append(part, static_cast<std::size_t>(got));
    }
    ::close(ends[0]);
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return read_figures(text, what.contender, others);
    if (WIFSIGNALED(status))
        fmt::print(stderr, "{} of {}: {}\n", what.row, what.contender,
                   WTERMSIG(status) == SIGALRM ? fmt::format("no figure within {} s", seconds_for_a_figure)
                                               : ::strsignal(WTERMSIG(status)));
    return std::nullopt;
}

/// What the child does.
int take_figure(std::string_view row, std::string_view name) {
    for (const auto& each : measurements())
        if (each.row == row && each.contender == name) {
            ::alarm(seconds_for_a_figure);
            try {
                fmt::print("{:.17g}\n", each.run());
            } catch (const std::exception& error) {
                fmt::print(stderr, "{} of {}: {}\n", row, name, error.what());
                return 1;
            }
            std::fflush(stdout);
            std::_Exit(0);  // threads that the contender left behind need not be waited for
        }
    throw usage_error(fmt::format("there is no contender '{}' in row '{}'", name, row));
}

std::vector<row_result> choose(const options& wanted) {
    std::vector<row_result> chosen;
    for (const auto& each : this_suite().rows) {
        if (!wanted.row.empty() && ::fnmatch(wanted.row.c_str(), std::string(each.id).c_str(), 0) != 0) continue;
        if (wanted.is_pinned && each.parked.empty()) continue;
        row_result result{.what = &each};
        for (const auto& one : measurements()) {
            if (one.row != each.id) continue;
            if (!wanted.only.empty() && one.contender != wanted.only) continue;
            if (wanted.is_pinned && one.contender != us && one.contender != each.parked) continue;
            result.contenders.push_back({.what = &one});
        }
        std::ranges::sort(result.contenders, {}, [](const series& one) {
            const std::string_view name = one.what->contender;
            return std::pair(role_of(name), name);
        });
        if (!result.contenders.empty()) chosen.push_back(std::move(result));
    }
    if (!chosen.empty()) return chosen;
    std::string ids;
    for (const auto& each : this_suite().rows) {
        if (wanted.is_pinned && each.parked.empty()) continue;
        ids += fmt::format("{}{}", ids.empty() ? "" : ", ", each.id);
    }
    throw usage_error(fmt::format("nothing to measure; the rows are {}", ids));
}

/// False when a figure is missing.
bool take_rounds(std::vector<row_result>& rows, std::size_t rounds) {
    bool is_complete = true;
    for (std::size_t round = 0; round < rounds; ++round) {
        fmt::print(stderr, "round {} of {}\n", round + 1, rounds);
        figures_of_others others;
        for (auto& each : rows)
            for (std::size_t i = 0; i < each.contenders.size(); ++i) {
                auto& next = each.contenders[(i + round) % each.contenders.size()];
                if (const auto figure = figure_of(*next.what, others))
                    next.figures.push_back(*figure);
                else
                    is_complete = false;
            }
    }
    return is_complete;
}

/// Three digits that count, as a person reads them.
std::string short_form(double value) {
    const int decimals = value >= 100 ? 0 : value >= 10 ? 1 : value >= 1 ? 2 : 3;
    return fmt::format("{:.{}f}", value, decimals);
}

std::string ratio_of(const series& a, const series& b) {
    const double to = median_of(b.figures);
    return to == 0 ? "-" : fmt::format("{:.2f}", median_of(a.figures) / to);
}

void print_table(const std::vector<row_result>& rows, bool is_pinned) {
    fmt::print("{:<19} {:<19} {:>10} {:>10} {:>10}  {:<4} {:<14} {}\n", "row", "contender", "median", "min", "max",
               "unit", is_pinned ? "" : "tercet / limit", is_pinned ? "tercet / parked" : "tercet / best peer");
    for (const auto& each : rows) {
        const series* const ours = each.find(us);
        const series* const other = each.best(role::peer);
        const series* const floor = each.best(role::limit);
        for (const auto& one : each.contenders) {
            if (one.figures.empty()) {
                fmt::print("{:<19} {:<19} {:>10}\n", each.what->id, one.what->contender, "failed");
                continue;
            }
            const auto [min, max] = std::ranges::minmax(one.figures);
            std::string ratio;
            const std::string to_limit = &one == ours && floor ? ratio_of(*ours, *floor) : "";
            if (&one == ours && other) {
                ratio = fmt::format("{} ({})", ratio_of(*ours, *other), other->what->contender);
                if (is_pinned && median_of(ours->figures) > pinned_limit * median_of(other->figures))
                    ratio += fmt::format(", more than {}", pinned_limit);
            }
            const std::string line = fmt::format("{:<19} {:<19} {:>10} {:>10} {:>10}  {:<4} {:<14} {}", each.what->id,
                                                 one.what->contender, short_form(median_of(one.figures)),
                                                 short_form(min), short_form(max), each.what->unit, to_limit, ratio);
            fmt::print("{}\n", line.substr(0, line.find_last_not_of(' ') + 1));
        }
    }
}

std::string to_json(const std::vector<row_result>& rows, const options& wanted) {
    using json = nlohmann::ordered_json;
    const auto spread_of = [](const series* one) -> json {
        if (!one) return nullptr;
        const auto [min, max] = std::ranges::minmax(one->figures);
        return {{"median", median_of(one->figures)}, {"min", min}, {"max", max}};
    };
    const auto machine = tools::describe_machine();
    double load = 0;
    ::getloadavg(&load, 1);
    json result{{"module", this_suite().module},
                {"machine",
                 {{"usable_cpus", machine.usable_cpus},
                  {"cpu", machine.cpu},
                  {"memory_bytes", machine.memory_bytes},
                  {"kernel", machine.kernel},
                  {"compiler", machine.compiler},
                  {"load_1min_after", load}}},
                {"rounds", wanted.rounds},
                {"rows", json::array()}};
    for (const auto& each : rows) {
        json peers = json::object();
        json variants = json::object();
        for (const auto& one : each.contenders) {
            const std::string name(one.what->contender);
            if (name == us || name == limit) continue;
            (role_of(name) == role::peer ? peers : variants)[name] = spread_of(each.find(name));
        }
        result["rows"].push_back({{"id", each.what->id},
                                  {"unit", each.what->unit},
                                  {"tercet", spread_of(each.find(us))},
                                  {"peers", std::move(peers)},
                                  {"limit", spread_of(each.best(role::limit))},
                                  {"variants", std::move(variants)}});
    }
    return result.dump(2) + "\n";
}

options parse(const std::vector<std::string>& arguments) {
    options wanted;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const auto value = [&]() -> const std::string& {
            if (i + 1 == arguments.size()) throw usage_error(arguments[i] + " needs a value");
            return arguments[++i];
        };
        const std::string& name = arguments[i];
        if (name == "--pinned") {
            wanted.is_pinned = true;
        } else if (name == "--only") {
            wanted.only = value();
        } else if (name == "--row") {
            wanted.row = value();
        } else if (name == "--json") {
            wanted.json = value();
        } else if (name == "--rounds") {
            const std::string& text = value();
            const bool is_number = text.find_first_not_of("0123456789") == std::string::npos && text.size() < 7;
            wanted.rounds = is_number && !text.empty() ? std::stoul(text) : 0;
            if (wanted.rounds == 0) throw usage_error("--rounds needs a number of at least 1, not '" + text + "'");
        } else {
            throw usage_error("there is no option '" + name + "'");
        }
    }
    if (wanted.is_pinned && (!wanted.only.empty() || !wanted.json.empty()))
        throw usage_error("--pinned compares two contenders, in a table: it goes with --row and --rounds only");
    return wanted;
}

int run(const std::vector<std::string>& arguments) {
    if (arguments.size() == 3 && arguments[0] == "--measure") return take_figure(arguments[1], arguments[2]);
    const options wanted = parse(arguments);
    auto rows = choose(wanted);
    std::ofstream file;
    if (!wanted.json.empty()) {
        file.open(wanted.json);  // before the long work: the path may be wrong
        if (!file) throw std::system_error(errno, std::generic_category(), "writing " + wanted.json);
    }
    const bool is_complete = take_rounds(rows, wanted.rounds);
    print_table(rows, wanted.is_pinned);
    if (file.is_open()) {
        file << to_json(rows, wanted) << std::flush;
        if (!file) throw std::system_error(errno, std::generic_category(), "writing " + wanted.json);
    }
    return is_complete ? 0 : 1;
}

}  // namespace

contender::contender(std::string_view name, const std::vector<entry>& entries) {
    for (const auto& each : entries) measurements().push_back({.row = each.row, .contender = name, .run = each.run});
}

void also(std::string_view row, double figure) { fmt::print("{} {:.17g}\n", row, figure); }

void become(const char* path, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), path);
    std::vector<char*> words;
    for (std::string& each : arguments) words.push_back(each.data());
    words.push_back(nullptr);
    ::execv(path, words.data());
    throw std::system_error(errno, std::generic_category(), fmt::format("starting {}", path));
}

double median_of(std::vector<double> values) {
    if (values.empty()) return 0;
    std::ranges::sort(values);
    const std::size_t middle = values.size() / 2;
    return values.size() % 2 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

}  // namespace tercet::benchmarks

int main(int argc, char** argv) try {
    return tercet::benchmarks::run({argv + 1, argv + argc});
} catch (const tercet::benchmarks::usage_error& error) {
    fmt::print(stderr, "benchmarks: {}\n", error.what());
    return 2;
} catch (const std::exception& error) {
    fmt::print(stderr, "benchmarks: {}\n", error.what());
    return 1;
}
