// refused: give its class a default constructor
#include <tercet/multiprocessing.hpp>

#include <functional>
#include <span>
#include <stop_token>
#include <string_view>

using tercet::multiprocessing::process_pool_executor;

struct number {
    explicit number(int v) : value(v) {}
    int value;
    template <class Archive>
    void serialize(Archive& archive) {
        archive(value);
    }
};
void work(process_pool_executor& pool) {
    pool.submit([](number) {}, number(1)).result();
}
