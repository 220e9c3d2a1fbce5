// refused: a pointer cannot be sent to another process
#include <tercet/multiprocessing.hpp>

#include <functional>
#include <span>
#include <stop_token>
#include <string_view>

using tercet::multiprocessing::process_pool_executor;

auto read(process_pool_executor& pool, const std::vector<const char*>& names) {
    return pool.submit([](const std::vector<const char*>& v) { return v.size(); }, names).result();
}
