#pragma once

#include <cstdint>
#include <string>

namespace tercet::multiprocessing {

/// The demangled name of the function that lies at `offset` in an ELF file, by the symbols that are in it; empty when
/// there are none, or the file cannot be read. The file may hold anything.
std::string function_at(const std::string& file, std::uint64_t offset);

}  // namespace tercet::multiprocessing
