#pragma once

#include <cstdint>

namespace tercet::multiprocessing {

/// A number of the calling thread that no other thread of any process has, or will have; never 0. Another one in the
/// child of a fork.
std::uint64_t thread_identity() noexcept;

}  // namespace tercet::multiprocessing
