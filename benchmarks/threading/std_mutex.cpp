#include <mutex>

#include "work.hpp"

namespace tercet::benchmarks {

namespace {

const contender here("std::mutex",
                     {{"lock", time_lock<std::mutex>}, {"lock_contended", time_contended_lock<std::mutex>}});

}  // namespace

}  // namespace tercet::benchmarks
