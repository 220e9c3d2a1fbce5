#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "echo.hpp"

namespace tercet::benchmarks {

/// A word that a template can be given.
template <std::size_t size>
struct word {
    char text[size];
    constexpr word(const char (&from)[size]) { std::copy_n(from, size, text); }  // NOLINT: "text" is a word
};

template <word program>
void become_echo_server() {
    become(program.text, {"echo"});
}

/// A contender that is a program: `PROGRAM ROW` prints the figure, in the unit of the row; `PROGRAM echo` is an echo
/// server, which prints its port.
template <word name, word program>
contender other_language() {
    std::vector<entry> rows = echo_rows<become_echo_server<program>>();
    const auto add = [&]<word row>() {
        rows.push_back({row.text, []() -> double { become(program.text, {row.text}); }});
    };
    add.template operator()<"spawn_one">();
    add.template operator()<"spawn_1000">();
    add.template operator()<"spawn_1M">();
    add.template operator()<"call">();
    add.template operator()<"yield">();
    add.template operator()<"queue">();
    add.template operator()<"queue_pingpong">();
    add.template operator()<"sleepers_100k">();
    add.template operator()<"sleepers_100k_cpu">();
    add.template operator()<"sleepers_1M">();
    add.template operator()<"sleepers_1M_cpu">();
    return {name.text, rows};
}

}  // namespace tercet::benchmarks
