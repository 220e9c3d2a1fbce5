#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace tercet::benchmarks {

/// Something to measure. Every figure is a time, or memory, so less is better.
struct row {
    std::string_view id;
    std::string_view unit;    ///< "ns", "us", "ms", "B" or "KiB"
    std::string_view parked;  ///< the contender that sleeps at once, for `--pinned`; empty: not looked at there
};

/// What this program is about; each benchmark program defines one.
struct suite {
    std::string_view module;
    std::vector<row> rows;
};
const suite& this_suite();

/// Takes one figure, in the unit of its row, in a process of its own: it may leave threads and pools behind.
/// Throws when the work was not done as it should be.
using measure = double();

struct entry {
    std::string_view row;
    measure* run;
};

/// The contender that is the limit: a small program of our own, not a peer. "limit/x" is another one; the better
/// counts.
inline constexpr std::string_view limit = "limit";

/// Enrols a contender, as a static object in a file of its own: what is not built is not there. "tercet/x" is tercet in
/// another way than it comes, and no peer.
class contender {
public:
    contender(std::string_view name, const std::vector<entry>& entries);
};

/// The figure of another row, which the work for this one has given as well: in this round that one is not measured.
void also(std::string_view row, double figure);

/// Becomes the program at `path`, which is called with `arguments` and prints the figure.
[[noreturn]] void become(const char* path, std::vector<std::string> arguments);

using clock = std::chrono::steady_clock;

inline double nanoseconds(clock::time_point from, clock::time_point to) {
    return std::chrono::duration<double, std::nano>(to - from).count();
}

/// The one in the middle, or between the two that are. Of none: 0.
double median_of(std::vector<double> values);

}  // namespace tercet::benchmarks
