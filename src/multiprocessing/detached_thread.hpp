#pragma once

#include <cstddef>

namespace tercet::multiprocessing {

/// Starts a thread that nobody joins, with all signals blocked, so that handlers of the program run on the program's
/// threads. `stack_size` in bytes; 0: the usual one. Throws `std::system_error`.
void start_detached_thread(void* (*run)(void*), void* argument, std::size_t stack_size = 0);

}  // namespace tercet::multiprocessing
