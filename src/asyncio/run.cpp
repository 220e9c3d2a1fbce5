#include <tercet/asyncio/run.hpp>
#include <tercet/futures/errors.hpp>

#include <fmt/format.h>

namespace tercet::asyncio {

void require_no_running_loop(const char* call) {
    if (find_running_loop())
        throw invalid_state_error(
            fmt::format("{}: an event loop runs on this thread already; inside a coroutine write `co_await "
                        "coroutine(...)`, or `create_task(coroutine(...))` to let it run by itself",
                        call));
}

}  // namespace tercet::asyncio
