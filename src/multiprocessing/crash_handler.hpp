#pragma once

#include "crash_record.hpp"

namespace tercet::multiprocessing {

/// From now on a fatal signal of this process is written into `record`, with the stack of its thread, before the
/// process dies of it. Signals that the program handles are left to it. The calling thread gets a stack for handlers,
/// so that it can tell of a stack that is full. Once in a process.
void install_crash_handler(crash_record& record) noexcept;

}  // namespace tercet::multiprocessing
