#pragma once

#include <liburing.h>

#include <functional>

namespace tercet::asyncio {

/// Makes a ring that can do what the poller needs, with the most flags that the kernel knows. Zero, or the number of
/// the error; ENOSYS when it lacks something.
int open_ring(io_uring& ring) noexcept;

void end_ring(io_uring& ring) noexcept;

/// Calls `set_up` with the flags of a ring, the best first, fewer whenever they are refused with `EINVAL`. Returns 0,
/// or the error of the last.
int set_up_with_most_flags(const std::function<int(unsigned flags)>& set_up);

}  // namespace tercet::asyncio
