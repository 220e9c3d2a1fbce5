#pragma once

#include <chrono>
#include <cstdint>

namespace tercet::tools {

/// What a piece of work cost.
struct measurement {
    double wall_s = 0;
    double cpu_s = 0;        ///< user and system time of this process and its workers
    double run_delay_s = 0;  ///< time in which the measuring thread could have run, but found no CPU
    /// The most memory that this process had, and the most that each worker had, added up.
    std::uint64_t peak_rss_bytes = 0;
};

/// Measures from its construction to `stop`, on the same thread.
class meter {
public:
    meter();
    /// What this process has used since then.
    measurement stop() const;

private:
    std::chrono::steady_clock::time_point start_;
    double cpu_s_;
    double run_delay_s_;
};

}  // namespace tercet::tools
