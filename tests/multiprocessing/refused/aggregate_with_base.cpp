// refused: an aggregate with a base class cannot be sent field by field
#include <tercet/multiprocessing.hpp>

#include <functional>
#include <span>
#include <stop_token>
#include <string_view>

using tercet::multiprocessing::process_pool_executor;

struct base {
    int a;
};
struct derived : base {
    int b;
};
void work(process_pool_executor& pool) {
    pool.submit([](derived) {}, derived{{1}, 2}).result();
}
