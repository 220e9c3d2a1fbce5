#include "../driver.hpp"
#include "echo.hpp"

namespace tercet::benchmarks {

const suite& this_suite() {
    static const suite asyncio = [] {
        suite made{.module = "asyncio",
                   .rows = {
                       {.id = "spawn_one", .unit = "ns", .parked = ""},
                       {.id = "spawn_1000", .unit = "ns", .parked = ""},
                       {.id = "spawn_1M", .unit = "ns", .parked = ""},
                       {.id = "call", .unit = "ns", .parked = ""},
                       {.id = "yield", .unit = "ns", .parked = ""},
                       {.id = "queue", .unit = "ns", .parked = ""},
                       {.id = "queue_pingpong", .unit = "ns", .parked = ""},
                       {.id = "sleepers_100k", .unit = "B", .parked = ""},
                       {.id = "sleepers_100k_cpu", .unit = "ms", .parked = ""},
                       {.id = "sleepers_1M", .unit = "B", .parked = ""},
                       {.id = "sleepers_1M_cpu", .unit = "ms", .parked = ""},
                   }};
        for (const auto id : {&echo_cell::request, &echo_cell::cpu, &echo_cell::slow})
            for (const echo_cell& each : echo_cells) made.rows.push_back({.id = each.*id, .unit = "us", .parked = ""});
        made.rows.push_back({.id = echo_latency, .unit = "us", .parked = ""});
        return made;
    }();
    return asyncio;
}

}  // namespace tercet::benchmarks
