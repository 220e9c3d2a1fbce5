// Helpers do not wait for helpers, and so begin no other call of the pool before they are through: their futures stand
// in the range, and only the caller waits for them. A thread that is recruited comes later in the range than the one
// that has recruited it; so when the caller has gone through the futures in their order, nobody is left who could
// recruit.
//
// When a thread is through with the range before those that it has recruited have begun, these are cancelled, so the
// caller does not wait for calls that stand before them in the queue.

#include <tercet/futures/adaptive_spin.hpp>
#include <tercet/futures/helping_thread.hpp>
#include <tercet/threading/parallel.hpp>

#include <thread>

namespace tercet::threading {

namespace {

adaptive_spin end_spin;

}  // namespace

parallel_team::parallel_team(thread_pool_executor& pool, const char* call) : pool_(pool) {
    blocking_ban::check(call);
    if (pool.is_own_thread()) return;
    if (helping_thread* const helper = helping_thread::current()) helper->check_wait(nullptr);
    pool.check_open();
}

void parallel_team::take_back(const offer_type& offered) noexcept {
    if (offered.work && offered.theirs->helper.cancel() && pool_.is_own_thread()) pool_.drop_offered(*offered.work);
}

void parallel_team::finish(shared_range& range) noexcept {
    for (std::size_t i = 1; i < range.recruited(); ++i) {
        const future<void>& helper = range[i].helper;
        if (!helper.valid()) continue;
        // Others are at their last items. A thread of the pool would begin another call rather than look a while.
        if (end_spin.until([&] { return helper.done(); })) continue;
        try {
            helper.wait();
        } catch (...) {  // the stack is too deep by now to do other calls meanwhile
            while (!helper.done()) std::this_thread::yield();
        }
    }
}

}  // namespace tercet::threading
