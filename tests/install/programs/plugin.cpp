#include <tercet/multiprocessing/process_pool_executor.hpp>

extern "C" int in_plugin(int n) { return n + 1000; }

extern "C" int call_of_plugin(tercet::multiprocessing::process_pool_executor& pool) {
    return pool.submit([](int n) { return n + 2000; }, 4).result();
}
