#include "python_pool.hpp"

namespace tercet::benchmarks {

namespace {

const contender here = python_pool<"forkserver", "start", "add_worker">();

}  // namespace

}  // namespace tercet::benchmarks
