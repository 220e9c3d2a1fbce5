#include "python_pool.hpp"

namespace tercet::benchmarks {

namespace {

const contender here = python_pool<"loky", "start", "rtt", "rtt_idle", "tput", "array_copy", "sqrt4">();

}  // namespace

}  // namespace tercet::benchmarks
