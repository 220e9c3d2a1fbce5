#pragma once

#include <array>
#include <string_view>

namespace tercet::tools {

/// The ways in which `compare` runs a workload.
enum class model { sequential, threading, multiprocessing, asyncio };

inline constexpr std::array all_models{model::sequential, model::threading, model::multiprocessing, model::asyncio};

constexpr std::string_view name_of(model which) noexcept {
    switch (which) {
        case model::sequential:
            return "sequential";
        case model::threading:
            return "threading";
        case model::multiprocessing:
            return "multiprocessing";
        case model::asyncio:
            return "asyncio";
    }
    return "";
}

}  // namespace tercet::tools
