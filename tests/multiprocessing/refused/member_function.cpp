// refused: wrap a member function in a lambda
#include <tercet/multiprocessing.hpp>

#include <functional>
#include <span>
#include <stop_token>
#include <string_view>

using tercet::multiprocessing::process_pool_executor;

struct account {
    int balance() const { return 1; }
};
int ask(process_pool_executor& pool) { return pool.submit(&account::balance, account()).result(); }
