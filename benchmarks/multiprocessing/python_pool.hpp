#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>

#include "../driver.hpp"

namespace tercet::benchmarks {

/// A word that a template can be given.
template <std::size_t size>
struct word {
    char text[size];
    constexpr word(const char (&from)[size]) { std::copy_n(from, size, text); }  // NOLINT: "text" is a word
};

/// The figure that `pools.py POOL ROW` prints. `idle` and `idle_memory` are looked at from here, as they are for
/// others.
double figure_of_python(const char* pool, std::string_view row);

/// A contender that is a pool of Python, in these rows.
template <word pool, word... rows>
contender python_pool() {
    return {pool.text, {{rows.text, [] { return figure_of_python(pool.text, rows.text); }}...}};
}

}  // namespace tercet::benchmarks
