#pragma once

#include <string>

#include "compare_report.hpp"

namespace tercet::tools {

/// One line: which model was fastest, and why the measured figures say so.
std::string verdict(const workload_report& report);

}  // namespace tercet::tools
