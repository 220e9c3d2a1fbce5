#pragma once

#include <tercet/multiprocessing/unique_fd.hpp>

namespace tercet::multiprocessing {

/// The life of a worker: runs requests from `socket` until that is closed. `parent` is a pidfd of the pool's process.
[[noreturn]] void run_worker(unique_fd socket, unique_fd parent);

}  // namespace tercet::multiprocessing
