#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace tercet::tools {

/// What a reader of figures has to know about where they come from.
struct machine_description {
    std::size_t usable_cpus;
    std::string cpu;
    std::uint64_t memory_bytes;
    std::string kernel;
    std::string compiler;
};

machine_description describe_machine();

}  // namespace tercet::tools
