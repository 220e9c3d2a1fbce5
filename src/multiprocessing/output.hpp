#pragma once

namespace tercet::multiprocessing {

/// Writes what stands in the buffers of standard output.
void flush_output() noexcept;

}  // namespace tercet::multiprocessing
