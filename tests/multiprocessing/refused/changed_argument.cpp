// refused: it must take them by value or by const reference
#include <tercet/multiprocessing.hpp>

#include <functional>
#include <span>
#include <stop_token>
#include <string_view>

using tercet::multiprocessing::process_pool_executor;

void change(process_pool_executor& pool, int x) {
    pool.submit([](int& y) { ++y; }, x).result();
}
