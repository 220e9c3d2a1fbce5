#include "other_language.hpp"

namespace tercet::benchmarks {

namespace {

const contender here = other_language<"tokio", TERCET_TOKIO_ROWS>();

}  // namespace

}  // namespace tercet::benchmarks
