#include "compare_options.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>

#include "url_list.hpp"
#include "usage_error.hpp"

namespace tercet::tools {

namespace {

constexpr std::size_t most_requests = 100'000;
constexpr std::size_t most_workers = 1'000;
constexpr std::size_t most_workers_by_default = 50;
constexpr std::size_t most_repeats = 1'000;

void check_workloads(const std::vector<std::string>& workloads) {
    for (const auto& each : workloads)
        if (each != "io" && each != "cpu")
            throw usage_error(fmt::format("unknown workload '{}'; there are io and cpu", each));
}

std::vector<model> to_models(const std::vector<std::string>& names) {
    if (names.empty()) return {all_models.begin(), all_models.end()};
    std::vector<model> chosen;
    for (const auto& name : names)
        if (std::ranges::none_of(all_models, [&](model each) { return name_of(each) == name; }))
            throw usage_error(
                fmt::format("unknown model '{}'; there are sequential, threading, multiprocessing and asyncio", name));
    for (const model each : all_models)
        if (std::ranges::find(names, name_of(each)) != names.end()) chosen.push_back(each);
    return chosen;
}

void check_count(const char* option, std::size_t value, std::size_t most) {
    if (value > most) throw usage_error(fmt::format("{} {}: at most {}", option, value, most));
}

/// Whether a result can be written, asked before the work rather than after it.
void check_writable(const std::string& path) {
    if (path.empty() || path == "-") return;
    const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (file < 0) throw usage_error(fmt::format("--json {}: {}", path, std::strerror(errno)));
    ::close(file);
}

}  // namespace

compare_options checked(const compare_arguments& arguments) {
    check_workloads(arguments.workloads);
    check_count("--requests", arguments.requests, most_requests);
    check_count("--concurrency", arguments.concurrency, most_workers);
    check_count("--repeat", arguments.repeat, most_repeats);
    if (arguments.repeat == 0) throw usage_error("--repeat 0: at least 1");
    if (!(arguments.timeout_s > 0) || !std::isfinite(arguments.timeout_s))
        throw usage_error(fmt::format("--timeout {}: a positive number of seconds", arguments.timeout_s));

    compare_options options{.workloads = {},
                            .models = to_models(arguments.models),
                            .urls = {},
                            .requests = arguments.requests,
                            .concurrency = arguments.concurrency,
                            .repeat = arguments.repeat,
                            .timeout_s = arguments.timeout_s,
                            .below = arguments.below,
                            .json_path = arguments.json_path};
    const bool has_urls = !arguments.url.empty() || !arguments.url_file.empty();
    const auto is_wanted = [&](const std::string& name) {
        if (arguments.workloads.empty()) return name == "io" || !has_urls;
        return std::ranges::find(arguments.workloads, name) != arguments.workloads.end();
    };
    for (const char* each : {"io", "cpu"})
        if (is_wanted(each)) options.workloads.emplace_back(each);

    if (!arguments.url.empty()) {
        check_url(arguments.url, "--url");
        options.urls = {arguments.url};
    } else if (!arguments.url_file.empty()) {
        options.urls = read_url_list(arguments.url_file);
    }
    if (options.requests == 0) options.requests = arguments.url_file.empty() ? 5 : options.urls.size();
    if (options.concurrency == 0) options.concurrency = most_workers_by_default;
    options.concurrency = std::min(options.concurrency, options.requests);
    check_writable(options.json_path);
    return options;
}

}  // namespace tercet::tools
