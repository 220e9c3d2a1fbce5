// refused: use capture
#include <tercet/multiprocessing.hpp>

#include <functional>
#include <span>
#include <stop_token>
#include <string_view>

using tercet::multiprocessing::process_pool_executor;

void run(process_pool_executor& pool, const std::function<void()>& fn) { pool.submit(fn).result(); }
