#pragma once

#include <cstdint>
#include <cstdio>
#include <source_location>
#include <string>
#include <vector>

namespace tercet::asyncio {

/// What a task of a loop does at a moment, without the task itself: it may be kept, and looked at on any thread.
struct call_graph_entry {
    enum class state : std::uint8_t {
        ready,    ///< its turn will come
        running,  ///< it is the one that asks
        waiting,
    };

    std::uint64_t number;  ///< of no other task of the loop
    std::string name;
    state is;
    bool is_cancelled;  ///< its waits throw, or would
    std::source_location created_at;
    /// The lines of the awaits at which its coroutines stand, innermost first. Empty before it has begun. Of a task
    /// that runs there is only the outermost: the others move while they are looked at.
    std::vector<std::source_location> call_stack;
    /// The numbers of the tasks for whose end it waits, in the order of their creation: by `co_await`, `gather`,
    /// `task_group`, `wait_for`, `wait`, `as_completed`.
    std::vector<std::uint64_t> awaits;
};

/// All tasks of a loop that are not done, oldest first.
using call_graph = std::vector<call_graph_entry>;

/// The tasks of the running loop: Python's `capture_call_graph`, of all tasks at once. To be called on the loop's
/// thread; from another, through `call_soon_threadsafe`. Its time and memory grow with the number of tasks. Throws
/// `invalid_state_error` outside a loop.
call_graph capture_call_graph();

/// The same as text: a tree in which the tasks that one awaits hang from it, and under each the lines where it stands.
/// A task that several await is told once. Tasks that await each other in a circle, which none of them will ever leave
/// by itself, are named first:
///
///     cycle: left awaits right awaits left
///     main (task-1), waiting
///     |   at main() in fetch.cpp:40
///     `-- task-2, waiting
///             at fetch(std::string) in fetch.cpp:12
///
/// Any thread.
std::string format_call_graph(const call_graph& graph);

/// `format_call_graph` of the running loop. Throws as `capture_call_graph`.
std::string format_call_graph();

/// Writes that to `into`. Throws as `capture_call_graph`.
void print_call_graph(std::FILE* into = stderr);

}  // namespace tercet::asyncio
