#pragma once

#include <tercet/futures/errors.hpp>

#include <cstddef>

// The errors of all queues, with the name of the queue and what can be done.

namespace tercet::queue_errors {

[[noreturn]] void throw_full(const char* queue, std::size_t maxsize);
[[noreturn]] void throw_empty(const char* queue);
/// `method` is "put" or "get".
[[noreturn]] void throw_shutdown(const char* queue, const char* method);
[[noreturn]] void throw_too_many_done(const char* queue);
/// Returns `maxsize`; throws `std::invalid_argument` when it is zero.
std::size_t checked_maxsize(const char* queue, std::size_t maxsize);

}  // namespace tercet::queue_errors
