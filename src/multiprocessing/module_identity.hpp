#pragma once

#include <tercet/multiprocessing/function_reference.hpp>

#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace tercet::multiprocessing {

/// The build-id among the notes of a segment.
std::optional<module_id> build_id_in(std::span<const std::uint8_t> notes);

/// The id of a module without a build-id; zeros when the file is not there.
module_id file_id_of(const char* path);

/// For people: "build-id 8f…".
std::string describe(const module_id& id);

/// In a process that makes calls for another: loads the shared library with that id, if that process has it. Returns
/// why it could not, or nothing.
std::string load_module_of_caller(const module_id& id);

}  // namespace tercet::multiprocessing
