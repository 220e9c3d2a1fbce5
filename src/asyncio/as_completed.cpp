#include <tercet/asyncio/as_completed.hpp>
#include <tercet/futures/errors.hpp>

#include <fmt/format.h>

namespace tercet::asyncio {

void throw_unfinished(const task_watch& watch) {
    throw timeout_error(fmt::format("as_completed: {} (of {}) tasks unfinished", watch.unpopped(), watch.size()));
}

}  // namespace tercet::asyncio
