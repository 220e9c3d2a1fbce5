#pragma once

#include <string_view>

namespace tercet::asyncio {

class context;

/// How a task is made. Trivially copyable, as every struct of options that stands in an awaited call must be: g++ 12
/// copies such temporaries byte by byte.
struct task_options {
    std::string_view name = {};                 ///< copied
    const asyncio::context* context = nullptr;  ///< copied: the values with which it begins; null: the current ones
    /// Runs to its first suspension inside `create_task`; a task that ends by then never goes through the loop. Only on
    /// a loop that runs.
    bool eager_start = false;
};

}  // namespace tercet::asyncio
