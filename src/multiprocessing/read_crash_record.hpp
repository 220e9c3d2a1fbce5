#pragma once

#include <tercet/multiprocessing/crash_report.hpp>

#include <optional>

#include "crash_record.hpp"

namespace tercet::multiprocessing {

/// What a dead worker has written; nothing when it did not. Names functions, for which it reads the files of modules.
/// Throws `std::bad_alloc`.
std::optional<crash_report> read_crash_record(const crash_record& record);

}  // namespace tercet::multiprocessing
