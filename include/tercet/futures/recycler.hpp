#pragma once

#include <cstddef>

namespace tercet {

/// Memory for what comes and goes often: coroutine frames, tasks, the calls in the queues of executors. Free blocks are
/// kept by size, in steady state nothing is allocated. A block may be freed on any thread; full lists go from threads
/// that free to threads that allocate, and no more than 16 MiB of them wait for that. Under AddressSanitizer this is
/// plain operator new, so that mistakes stay visible. Throws `std::bad_alloc`.
void* allocate_block(std::size_t size);

/// `size` as it was allocated.
void free_block(void* block, std::size_t size) noexcept;

}  // namespace tercet
