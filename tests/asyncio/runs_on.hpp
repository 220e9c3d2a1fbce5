#pragma once

#include <tercet/asyncio/loop_options.hpp>

#include <cstdlib>
#include <string_view>

/// Whether the suite runs on that backend: it runs on each, chosen by the environment.
inline bool runs_on(tercet::asyncio::loop_backend backend) {
    const char* const chosen = std::getenv("TERCET_LOOP");
    return chosen && std::string_view(chosen) == to_string(backend);
}
