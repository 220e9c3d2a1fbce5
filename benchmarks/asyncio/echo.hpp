#pragma once

#include <array>
#include <cstddef>
#include <string_view>
#include <utility>
#include <vector>

#include "../driver.hpp"

namespace tercet::benchmarks {

/// A TCP echo server: listens on 127.0.0.1, says where by `tell_port`, and serves until it is killed.
using echo_server = void (*)();

/// Prints the port, which is what the one who measures reads first.
void tell_port(unsigned port);

/// How many bytes a message has, on how many connections, and the rows: us from one answer to the next, over all
/// connections; us of CPU time of the server for each; how long 99 of 100 answers took at most, in us.
struct echo_cell {
    std::size_t bytes;
    int connections;
    std::string_view request;
    std::string_view cpu;
    std::string_view slow;
};

inline constexpr std::array<echo_cell, 12> echo_cells{{
    {64, 1, "echo_64_1", "echo_cpu_64_1", "echo_p99_64_1"},
    {64, 100, "echo_64_100", "echo_cpu_64_100", "echo_p99_64_100"},
    {64, 1000, "echo_64_1000", "echo_cpu_64_1000", "echo_p99_64_1000"},
    {1024, 1, "echo_1024_1", "echo_cpu_1024_1", "echo_p99_1024_1"},
    {1024, 100, "echo_1024_100", "echo_cpu_1024_100", "echo_p99_1024_100"},
    {1024, 1000, "echo_1024_1000", "echo_cpu_1024_1000", "echo_p99_1024_1000"},
    {16384, 1, "echo_16384_1", "echo_cpu_16384_1", "echo_p99_16384_1"},
    {16384, 100, "echo_16384_100", "echo_cpu_16384_100", "echo_p99_16384_100"},
    {16384, 1000, "echo_16384_1000", "echo_cpu_16384_1000", "echo_p99_16384_1000"},
    {102400, 1, "echo_102400_1", "echo_cpu_102400_1", "echo_p99_102400_1"},
    {102400, 100, "echo_102400_100", "echo_cpu_102400_100", "echo_p99_102400_100"},
    {102400, 1000, "echo_102400_1000", "echo_cpu_102400_1000", "echo_p99_102400_1000"},
}};

/// How long half of the answers of the first cell took at most, in us.
inline constexpr std::string_view echo_latency = "echo_latency";

/// The server in a process of its own on the first core, a client on the second: a closed loop with one message under
/// way on each connection, for 400 ms after a warm-up. The figure of `row`, which is one of the cell's, and `also` of
/// its other rows. Throws when answers are missing or wrong.
double measure_echo(echo_server serve, const echo_cell& cell, std::string_view row);

/// The rows of an echo server for a contender.
template <echo_server serve>
std::vector<entry> echo_rows() {
    std::vector<entry> rows;
    const auto add = [&]<std::size_t i>() {
        rows.push_back(
            {echo_cells[i].request, [] { return measure_echo(serve, echo_cells[i], echo_cells[i].request); }});
        rows.push_back({echo_cells[i].cpu, [] { return measure_echo(serve, echo_cells[i], echo_cells[i].cpu); }});
        rows.push_back({echo_cells[i].slow, [] { return measure_echo(serve, echo_cells[i], echo_cells[i].slow); }});
    };
    [&]<std::size_t... i>(std::index_sequence<i...>) { (add.template operator()<i>(), ...); }
    (std::make_index_sequence<echo_cells.size()>());
    rows.push_back({echo_latency, [] { return measure_echo(serve, echo_cells[0], echo_latency); }});
    return rows;
}

}  // namespace tercet::benchmarks
