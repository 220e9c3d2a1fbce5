// std::async with std::launch::async: a new thread for each call, so fewer calls are made.

#include "work.hpp"

namespace tercet::benchmarks {

namespace {

std::future<void> submit() { return std::async(std::launch::async, count_job); }

double submit_future() {
    return time_futures(
        submit, [](auto& future) { future.get(); }, 2'000);
}

double rtt() {
    return time_round_trips([] { submit().get(); }, 2'000);
}

double rtt_idle() {
    return time_idle_round_trips([] { submit().get(); });
}

double map_1m() {
    return time_map([](const auto& in, auto& out) {
        const auto half = [&](std::size_t begin, std::size_t end) {
            for (std::size_t i = begin; i < end; ++i) out[i] = square_plus_one(in[i]);
        };
        const std::size_t middle = in.size() / 2;
        auto first = std::async(std::launch::async, half, 0, middle);
        auto second = std::async(std::launch::async, half, middle, in.size());
        first.get();
        second.get();
    });
}

const contender here("std::async",
                     {{"submit_future", submit_future}, {"rtt", rtt}, {"rtt_idle", rtt_idle}, {"map_1M", map_1m}});

}  // namespace

}  // namespace tercet::benchmarks
