#include "python_pool.hpp"

namespace tercet::benchmarks {

namespace {

const contender here = python_pool<"ProcessPoolExecutor", "start", "rtt", "rtt_idle", "tput", "array_copy", "sqrt4",
                                   "idle", "idle_memory">();

}  // namespace

}  // namespace tercet::benchmarks
