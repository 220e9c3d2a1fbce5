#pragma once

#include <cstdint>

namespace tercet::multiprocessing {

/// What `set_start_method` was told, as a number for children; 0: nothing.
std::uint32_t default_start_method() noexcept;

/// In a child: takes over what it was in the process that had it started.
void inherit_default_start_method(std::uint32_t number) noexcept;

}  // namespace tercet::multiprocessing
