#pragma once

#include <cstdint>

namespace tercet::threading {

/// The number of the calling thread: never zero, never given again to another thread of this process. Any thread.
std::uint64_t get_ident() noexcept;

/// The number that the kernel gave the calling thread, as `top -H` and `/proc/PID/task` show it. Given again after the
/// thread has ended.
int get_native_id() noexcept;

}  // namespace tercet::threading
