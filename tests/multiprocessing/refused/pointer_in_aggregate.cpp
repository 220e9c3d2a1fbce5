// refused: a pointer cannot be sent to another process
#include <tercet/multiprocessing.hpp>

#include <functional>
#include <span>
#include <stop_token>
#include <string_view>

using tercet::multiprocessing::process_pool_executor;

struct node {
    int value;
    node* next;
};
int read(process_pool_executor& pool, node first) {
    return pool.submit([](const node& n) { return n.value; }, first).result();
}
