#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace tercet::multiprocessing {

/// The functions of an ELF file, by the symbols that are in it. The file may hold anything, and may change meanwhile.
class symbol_table {
public:
    /// Of a file that cannot be read, is none, or has no symbols there are no functions. Throws `std::bad_alloc`.
    explicit symbol_table(const std::string& file);

    /// The demangled name of the function that lies at `offset`; empty when there is none. Throws `std::bad_alloc`.
    std::string function_at(std::uint64_t offset) const;

private:
    std::vector<std::byte> symbols_;
    std::string names_;
};

}  // namespace tercet::multiprocessing
