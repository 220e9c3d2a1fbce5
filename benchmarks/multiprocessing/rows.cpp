#include "../driver.hpp"

namespace tercet::benchmarks {

const suite& this_suite() {
    static const suite multiprocessing{.module = "multiprocessing",
                                       .rows = {
                                           {.id = "start", .unit = "ms", .parked = ""},
                                           {.id = "add_worker", .unit = "ms", .parked = ""},
                                           {.id = "rtt", .unit = "us", .parked = ""},
                                           {.id = "rtt_idle", .unit = "us", .parked = ""},
                                           {.id = "rtt_awaited", .unit = "us", .parked = ""},
                                           {.id = "tput", .unit = "us", .parked = ""},
                                           {.id = "tput_map", .unit = "us", .parked = ""},
                                           {.id = "array_copy", .unit = "ms", .parked = ""},
                                           {.id = "array_shared_100M", .unit = "us", .parked = ""},
                                           {.id = "array_shared_4G", .unit = "us", .parked = ""},
                                           {.id = "sqrt4", .unit = "ms", .parked = ""},
                                           {.id = "idle", .unit = "ms", .parked = ""},
                                           {.id = "idle_memory", .unit = "KiB", .parked = ""},
                                           {.id = "recover", .unit = "ms", .parked = ""},
                                       }};
    return multiprocessing;
}

}  // namespace tercet::benchmarks
