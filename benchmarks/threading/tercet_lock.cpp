#include <tercet/threading/lock.hpp>

#include "work.hpp"

namespace tercet::benchmarks {

namespace {

const contender here("tercet",
                     {{"lock", time_lock<threading::lock>}, {"lock_contended", time_contended_lock<threading::lock>}});

}  // namespace

}  // namespace tercet::benchmarks
