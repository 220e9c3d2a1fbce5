#include <tercet/threading/queue.hpp>

#include "work.hpp"

namespace tercet::benchmarks {

namespace {

const contender here("tercet", {{"queue_stream", time_stream<threading::queue<long>>},
                                {"queue_pingpong", time_pingpong<threading::queue<long>>}});

}  // namespace

}  // namespace tercet::benchmarks
