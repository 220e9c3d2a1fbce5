#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "compare_run.hpp"
#include "model.hpp"

namespace tercet::tools {

/// Median, least and greatest of a figure over the repeats.
struct spread {
    double median = 0;
    double min = 0;
    double max = 0;
};
spread spread_of(std::vector<double> values);

/// One model's line in a comparison.
struct row {
    model how;
    std::size_t workers;
    std::vector<run_result> runs;

    spread wall_s() const;
    double cpu_s() const;           ///< median
    double run_delay_s() const;     ///< median
    double peak_rss_bytes() const;  ///< greatest
    /// The items of the run in which most of them failed.
    const std::vector<item_result>& items() const;
    std::size_t failed() const;
};

/// One workload, and what each model made of it.
struct workload_report {
    std::string name;   ///< io, cpu
    std::string title;  ///< what was done, for a person
    bool is_status;     ///< values are HTTP statuses
    std::vector<row> rows;

    /// The row of the sequential model with a run and no failed item, null when there is none.
    const row* baseline() const;
    /// The row with the least median wall time of those with runs and no failed item; of all, if every row has one.
    const row* fastest() const;
};

/// The table of a workload and the line that names the fastest. Rows without a run are left out; nothing when none has
/// one.
std::string to_table(const workload_report& report, bool color);

/// All workloads, as documented in docs/compare.md.
std::string to_json(const std::vector<workload_report>& reports);

}  // namespace tercet::tools
