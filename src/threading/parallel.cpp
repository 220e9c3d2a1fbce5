// From outside the pool a helper is submitted: when the caller is through with the range before a worker has come to
// it, it is cancelled, so the caller does not wait for calls that stand before it in the queue. But a helper that waits
// for one that it has woken itself may do another call of the pool meanwhile, and the caller waits for that.

#include <tercet/futures/helping_thread.hpp>
#include <tercet/threading/parallel.hpp>

#include <thread>

namespace tercet::threading {

parallel_team::parallel_team(thread_pool_executor& pool, const char* call) : pool_(pool) {
    blocking_ban::check(call);
    if (pool.is_own_thread()) return;
    if (helping_thread* const helper = helping_thread::current()) helper->check_wait(nullptr);
    pool.check_open();
}

void parallel_team::finish(future<void>& offered) noexcept {
    if (!offered.valid() || offered.cancel()) return;
    offered.state().mark_read();  // a pool that breaks meanwhile has left the work to the caller
    try {
        offered.wait();
    } catch (...) {  // the stack is too deep by now to do other calls meanwhile
        while (!offered.done()) std::this_thread::yield();
    }
}

}  // namespace tercet::threading
