// refused: a string_view, span or other view cannot be sent to another process
#include <tercet/multiprocessing.hpp>

#include <functional>
#include <span>
#include <stop_token>
#include <string_view>

using tercet::multiprocessing::process_pool_executor;

auto make(process_pool_executor& pool) {
    return pool.submit([] { return std::span<int>(); });
}
