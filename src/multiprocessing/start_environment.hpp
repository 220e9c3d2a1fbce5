#pragma once

#include <fmt/format.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <vector>

#include "bootstrap.hpp"

namespace tercet::multiprocessing {

/// This process's environment, and an order to the one that gets it.
class start_environment {
public:
    explicit start_environment(const std::string& order) : order_(fmt::format("{}={}", start_variable, order)) {
        const std::string prefix = fmt::format("{}=", start_variable);
        for (char** each = environ; each && *each; ++each)
            if (!std::string_view(*each).starts_with(prefix)) variables_.push_back(*each);
        variables_.push_back(order_.data());
        variables_.push_back(nullptr);
    }
    start_environment(const start_environment&) = delete;
    start_environment& operator=(const start_environment&) = delete;

    char* const* get() noexcept { return variables_.data(); }

private:
    std::string order_;
    std::vector<char*> variables_;
};

}  // namespace tercet::multiprocessing
