#pragma once

#include <functional>
#include <string>
#include <vector>

#include "meter.hpp"
#include "model.hpp"
#include "workloads.hpp"

namespace tercet::tools {

/// What became of one item: a value, or the text of its error.
struct item_result {
    double value = 0;
    std::string error = {};
};

/// One run of a workload in one model.
struct run_result {
    std::vector<item_result> items;  ///< in the order of the input
    measurement cost;
};

/// Told that one more item is done.
using tick = std::function<void()>;

/// Does the work of `items` in the model `how`, with at most `workers` of them at once, from the start of its workers
/// to their end.
run_result run(model how, const std::vector<page>& items, std::size_t workers, const tick& done);
run_result run(model how, const std::vector<square_roots>& items, std::size_t workers, const tick& done);

}  // namespace tercet::tools
