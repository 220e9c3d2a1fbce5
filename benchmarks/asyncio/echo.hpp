#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

namespace tercet::benchmarks {

/// A TCP echo server: listens on 127.0.0.1, calls `tell_port` with its port, and serves until it is killed.
using echo_server = void (*)(const std::function<void(std::uint16_t)>& tell_port);

struct echo_figures {
    double request;  ///< us from one answer to the next, over all connections
    double cpu;      ///< us of CPU time of the server for each
};

/// The server in a process of its own on the first core, a client on the second: a closed loop with one message of
/// `bytes` under way on each of `connections`, for 400 ms after a warm-up. Throws when answers are missing or wrong.
echo_figures measure_echo(echo_server serve, std::size_t bytes, int connections);

template <echo_server serve, std::size_t bytes, int connections>
double time_echo() {
    return measure_echo(serve, bytes, connections).request;
}
template <echo_server serve, std::size_t bytes, int connections>
double cpu_of_echo() {
    return measure_echo(serve, bytes, connections).cpu;
}

}  // namespace tercet::benchmarks

/// The rows of an echo server for `contender`.
#define TERCET_ECHO_ROWS(serve)                                                    \
    {"echo_64_1", &::tercet::benchmarks::time_echo<serve, 64, 1>},                 \
        {"echo_64_100", &::tercet::benchmarks::time_echo<serve, 64, 100>},         \
        {"echo_1024_1", &::tercet::benchmarks::time_echo<serve, 1024, 1>},         \
        {"echo_1024_100", &::tercet::benchmarks::time_echo<serve, 1024, 100>},     \
        {"echo_cpu_64_1", &::tercet::benchmarks::cpu_of_echo<serve, 64, 1>},       \
        {"echo_cpu_64_100", &::tercet::benchmarks::cpu_of_echo<serve, 64, 100>},   \
        {"echo_cpu_1024_1", &::tercet::benchmarks::cpu_of_echo<serve, 1024, 1>}, { \
        "echo_cpu_1024_100", &::tercet::benchmarks::cpu_of_echo<serve, 1024, 100>  \
    }
