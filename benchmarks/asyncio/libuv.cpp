// libuv has no coroutines: callbacks and timers only.

#include <uv.h>

#include <vector>

#include "work.hpp"

namespace tercet::benchmarks {

namespace {

struct sleeper {
    uv_timer_t timer;
};

sleepers_figure sleepers(long count) {
    sleepers_figure figure(count);
    uv_loop_t loop;
    check(uv_loop_init(&loop) == 0, "uv_loop_init");
    static long woken;
    woken = 0;
    figure.begin();
    std::vector<sleeper> all(static_cast<std::size_t>(count));
    for (long i = 0; i < count; ++i) {
        uv_timer_t& timer = all[static_cast<std::size_t>(i)].timer;
        uv_timer_init(&loop, &timer);
        const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(time_to_sleep(i)).count();
        uv_timer_start(
            &timer, [](uv_timer_t*) { ++woken; }, static_cast<std::uint64_t>(milliseconds), 0);
    }
    figure.all_sleep();
    uv_run(&loop, UV_RUN_DEFAULT);
    figure.end(woken);
    for (sleeper& each : all) uv_close(reinterpret_cast<uv_handle_t*>(&each.timer), nullptr);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    return figure;
}

const contender here("libuv", {{"sleepers_100k", [] { return sleepers(100'000).bytes_each(); }},
                               {"sleepers_100k_cpu", [] { return sleepers(100'000).cpu_ms(); }},
                               {"sleepers_1M", [] { return sleepers(1'000'000).bytes_each(); }},
                               {"sleepers_1M_cpu", [] { return sleepers(1'000'000).cpu_ms(); }}});

}  // namespace

}  // namespace tercet::benchmarks
