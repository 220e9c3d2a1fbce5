#pragma once

#include <tercet/multiprocessing/start_method.hpp>

#include <sys/types.h>

#include <cstdint>
#include <string>

namespace tercet::multiprocessing {

/// How deep processes may start pools that start processes that start pools.
inline constexpr unsigned max_process_depth = 4;

/// Name of the environment variable that tells a new process what to be.
inline constexpr const char* start_variable = "TERCET_FORK_SERVER";

/// What a new process is to be.
enum class start_role : unsigned { fork_server, worker, process };

/// The value of that variable for a fork server of this process.
std::string start_value_of_server(std::uint64_t token);
/// In a fork server: the value for a fresh start in another role. `default_method` as of `default_start_method`.
std::string start_value_of_child(start_role role, std::uint32_t default_method);

/// Throws `broken_process_pool`, with the remedy, when processes started from this one would not come to serve, or
/// would be one generation too many.
void require_start_possible(start_method method);

/// The same, as a text without who wanted to start; empty when it is possible. `things`: "pools", "processes".
std::string why_no_start(const char* things, start_method method);

/// Becomes what this process was started to be, if it was, and does not return. Once static objects are made.
void serve_if_asked();

/// In a copy of the process `caller`, made by start_method::fork: it serves that one.
void note_forked_from_program(pid_t caller) noexcept;
/// Whether this process is such a copy: then the ends of static objects, and what is in buffers, are its parent's.
bool is_forked_from_program() noexcept;

/// The process whose calls this one makes, directly or as the fork server of those that do; 0: none.
pid_t calling_process() noexcept;

/// Says that `serve_if_asked` is called, or was, before the program's own code.
void note_start_hook() noexcept;

/// Does nothing; who calls it has the hook in the program, also from a static library.
void link_start_hook() noexcept;

}  // namespace tercet::multiprocessing
