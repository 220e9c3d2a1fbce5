// refused: a function that takes a std::stop_token cannot run in another process yet
#include <tercet/multiprocessing.hpp>

#include <functional>
#include <span>
#include <stop_token>
#include <string_view>

using tercet::multiprocessing::process_pool_executor;

void work(process_pool_executor& pool) {
    pool.submit([](std::stop_token) {}).result();
}
