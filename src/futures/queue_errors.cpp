#include <tercet/futures/queue_errors.hpp>

#include <fmt/format.h>

#include <stdexcept>

namespace tercet::queue_errors {

void throw_full(const char* queue, std::size_t maxsize) {
    throw queue_full(
        fmt::format("{}: put: no room among {} items in the time that was given; get faster, wait longer, "
                    "or raise it with set_maxsize",
                    queue, maxsize));
}

void throw_empty(const char* queue) {
    throw queue_empty(fmt::format("{}: get: no item came in the time that was given", queue));
}

void throw_shutdown(const char* queue, const char* method) {
    throw queue_shutdown(fmt::format("{}: {}: the queue was shut down", queue, method));
}

void throw_too_many_done(const char* queue) {
    throw std::invalid_argument(
        fmt::format("{}: task_done was called more often than items were put; call it once for each item", queue));
}

std::size_t checked_maxsize(const char* queue, std::size_t maxsize) {
    if (maxsize == 0)
        throw std::invalid_argument(
            fmt::format("{0}: room for no items; give a bound, or ask for {0}<T>::unbounded()", queue));
    return maxsize;
}

}  // namespace tercet::queue_errors
