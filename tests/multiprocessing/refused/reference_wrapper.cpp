// refused: a reference cannot be sent to another process
#include <tercet/multiprocessing.hpp>

#include <functional>
#include <span>
#include <stop_token>
#include <string_view>

using tercet::multiprocessing::process_pool_executor;

void change(process_pool_executor& pool, int& x) {
    pool.submit([](int& y) { ++y; }, std::ref(x)).result();
}
