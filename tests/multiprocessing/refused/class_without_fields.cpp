// refused: values of this class cannot be sent to another process
#include <tercet/multiprocessing.hpp>

#include <functional>
#include <span>
#include <stop_token>
#include <string_view>

using tercet::multiprocessing::process_pool_executor;

class secret {
public:
    secret() = default;

private:
    [[maybe_unused]] int x_ = 0;
};
void work(process_pool_executor& pool) {
    pool.submit([](secret) {}, secret()).result();
}
