#include "../driver.hpp"

namespace tercet::benchmarks {

const suite& this_suite() {
    static const suite asyncio{.module = "asyncio",
                               .rows = {
                                   {.id = "spawn_one", .unit = "ns", .parked = ""},
                                   {.id = "spawn_1000", .unit = "ns", .parked = ""},
                                   {.id = "spawn_1M", .unit = "ns", .parked = ""},
                                   {.id = "call", .unit = "ns", .parked = ""},
                                   {.id = "yield", .unit = "ns", .parked = ""},
                                   {.id = "sleepers_100k", .unit = "B", .parked = ""},
                                   {.id = "sleepers_100k_cpu", .unit = "ms", .parked = ""},
                                   {.id = "sleepers_1M", .unit = "B", .parked = ""},
                                   {.id = "sleepers_1M_cpu", .unit = "ms", .parked = ""},
                                   {.id = "echo_64_1", .unit = "us", .parked = ""},
                                   {.id = "echo_64_100", .unit = "us", .parked = ""},
                                   {.id = "echo_1024_1", .unit = "us", .parked = ""},
                                   {.id = "echo_1024_100", .unit = "us", .parked = ""},
                                   {.id = "echo_cpu_64_1", .unit = "us", .parked = ""},
                                   {.id = "echo_cpu_64_100", .unit = "us", .parked = ""},
                                   {.id = "echo_cpu_1024_1", .unit = "us", .parked = ""},
                                   {.id = "echo_cpu_1024_100", .unit = "us", .parked = ""},
                               }};
    return asyncio;
}

}  // namespace tercet::benchmarks
