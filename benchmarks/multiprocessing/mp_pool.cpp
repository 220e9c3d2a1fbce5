#include "python_pool.hpp"

namespace tercet::benchmarks {

namespace {

const contender here = python_pool<"mp.Pool", "start", "rtt", "rtt_idle", "tput", "tput_map", "array_copy", "sqrt4",
                                   "idle", "idle_memory", "recover">();

}  // namespace

}  // namespace tercet::benchmarks
