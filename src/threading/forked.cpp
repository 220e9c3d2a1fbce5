// A fork_point is running, then over. When its maker has to wait, it says so (awaited), and whoever ends the job wakes
// it; otherwise nobody is woken. A helping thread's parker outlives it; the fork_point's own one is there until its
// maker has taken the signal.

#include <tercet/threading/forked.hpp>
#include <tercet/threading/thread_pool_executor.hpp>

namespace tercet::threading {

void fork_point::offer(thread_pool_executor& pool) {
    helper_ = helping_thread::current();
    home_ = pool.fork_job(*this);
}

bool fork_point::take_back_or_wait() noexcept {
    if (home_ && state_.load(std::memory_order_acquire) != over && thread_pool_executor::take_back(*home_, *this))
        return true;
    std::uint32_t state = running;
    if (!state_.compare_exchange_strong(state, awaited, std::memory_order_acq_rel, std::memory_order_acquire))
        return false;
    if (helper_) {
        constexpr auto is_over = [](void* self) {
            return static_cast<fork_point*>(self)->state_.load(std::memory_order_acquire) == over;
        };
        helper_->wait(is_over, this, time_limit::clock::time_point::max());
    } else {
        own_.park(time_limit::clock::time_point::max());
    }
    return false;
}

void fork_point::publish() noexcept {
    parker& maker = helper_ ? helper_->wake_up() : own_;
    if (state_.exchange(over, std::memory_order_acq_rel) == awaited) maker.unpark();
}

}  // namespace tercet::threading
