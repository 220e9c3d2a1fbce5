// refused: a lambda with captures cannot be sent to another process
#include <tercet/multiprocessing.hpp>

#include <functional>
#include <span>
#include <stop_token>
#include <string_view>

using tercet::multiprocessing::process_pool_executor;

int twice(process_pool_executor& pool, int x) {
    return pool.submit([x] { return 2 * x; }).result();
}
