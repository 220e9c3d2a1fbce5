#pragma once

#include "compare_options.hpp"
#include "interrupt.hpp"

namespace tercet::tools {

/// Runs the workloads in the models that were asked for and prints what came of it. Returns the exit status: 1 when an
/// item failed.
int compare(const compare_options& options, interrupt& interrupts);

}  // namespace tercet::tools
