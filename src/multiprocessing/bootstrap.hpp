#pragma once

#include <cstdint>
#include <string>

namespace tercet::multiprocessing {

/// How deep processes may start pools that start processes that start pools.
inline constexpr unsigned max_process_depth = 4;

/// Name of the environment variable that tells a new process to be a fork server.
inline constexpr const char* start_variable = "TERCET_FORK_SERVER";

/// The value of that variable for a child of this process.
std::string start_value(std::uint64_t token);

/// Throws `broken_process_pool`, with the remedy, when processes started from this one would not come to serve, or
/// would be one generation too many.
void require_start_possible();

/// The same, as a text without who wanted to start; empty when it is possible. `things`: "pools", "processes".
std::string why_no_start(const char* things);

/// Becomes a fork server and does not return, if this process was started to be one. Once static objects are made.
void serve_if_asked();

/// Says that `serve_if_asked` is called, or was, before the program's own code.
void note_start_hook() noexcept;

/// Does nothing; who calls it has the hook in the program, also from a static library.
void link_start_hook() noexcept;

/// A number that changes in the child of a fork.
std::uint64_t process_generation() noexcept;

}  // namespace tercet::multiprocessing
