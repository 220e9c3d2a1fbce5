#pragma once

namespace tercet::asyncio {

/// No loop runs on this thread any more: in the child of a fork.
void forget_running_loop() noexcept;

/// From now on the child of a fork has no running loop, and signals do there what they did before a loop listened.
/// Throws `std::system_error`.
void prepare_for_forks();

}  // namespace tercet::asyncio
