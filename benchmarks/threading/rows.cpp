#include "../driver.hpp"

namespace tercet::benchmarks {

const suite& this_suite() {
    static const suite threading{.module = "threading",
                                 .rows = {
                                     {.id = "submit", .unit = "ns", .parked = ""},
                                     {.id = "submit_future", .unit = "ns", .parked = ""},
                                     {.id = "rtt", .unit = "us", .parked = "mutex+condvar"},
                                     {.id = "rtt_idle", .unit = "us", .parked = ""},
                                     {.id = "map_1M", .unit = "us", .parked = ""},
                                     {.id = "fib30", .unit = "ms", .parked = ""},
                                     {.id = "queue_stream", .unit = "ns", .parked = ""},
                                     {.id = "queue_pingpong", .unit = "us", .parked = "mutex+condvar"},
                                     {.id = "lock", .unit = "ns", .parked = ""},
                                     {.id = "lock_contended", .unit = "ns", .parked = "std::mutex"},
                                 }};
    return threading;
}

}  // namespace tercet::benchmarks
