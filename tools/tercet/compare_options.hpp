#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "model.hpp"

namespace tercet::tools {

/// The command line of `compare`, as it was typed. docs/compare.md says what each option means.
struct compare_arguments {
    std::vector<std::string> workloads;
    std::vector<std::string> models;
    std::string url;
    std::string url_file;
    std::size_t requests = 0;
    std::size_t concurrency = 0;
    std::size_t repeat = 3;
    double timeout_s = 10;
    std::uint64_t below = 100'000'000;
    std::string json_path;
};

/// What the user asked `compare` for.
struct compare_options {
    std::vector<std::string> workloads;  ///< io, cpu
    std::vector<model> models;           ///< in the order of `all_models`
    std::vector<std::string> urls;       ///< none: the embedded httpbin
    std::size_t requests;
    std::size_t concurrency;
    std::size_t repeat;
    double timeout_s;
    std::uint64_t below;
    std::string json_path;  ///< empty: no JSON
};

/// Checks what was typed. Throws `usage_error`.
compare_options checked(const compare_arguments& arguments);

}  // namespace tercet::tools
