#include "other_language.hpp"

namespace tercet::benchmarks {

namespace {

const contender here = other_language<"go", TERCET_GO_ROWS>();

}  // namespace

}  // namespace tercet::benchmarks
