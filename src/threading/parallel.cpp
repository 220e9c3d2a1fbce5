// From outside the pool a helper is submitted: when the caller is through with the range before a worker has come to it,
// it is cancelled, so the caller never waits for calls that stand before it in the queue.

#include <tercet/threading/parallel.hpp>

namespace tercet::threading {

parallel_team::parallel_team(thread_pool_executor& pool, const char* call) : pool_(pool) {
    if (pool.is_own_thread()) return;
    blocking_ban::check(call);
    pool.check_open();
}

void parallel_team::finish(future<void>& offered) {
    if (offered.valid() && !offered.cancel()) offered.wait();
}

}  // namespace tercet::threading
