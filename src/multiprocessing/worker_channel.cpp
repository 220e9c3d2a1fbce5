#include "worker_channel.hpp"

#include <tercet/futures/futex.hpp>

#include <atomic>

namespace tercet::multiprocessing {

// The worker sets `worker_sleeps` and then looks at the rings; here it is the other way round. One of them sees the
// other's store.
void worker_channel::wake() noexcept {
    auto& sleeps = segment.head().worker_sleeps;
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (sleeps.load(std::memory_order_relaxed) == 0) return;
    sleeps.store(0, std::memory_order_relaxed);
    futex_wake(sleeps, 1, futex_scope::shared);
}

void worker_channel::close_requests() noexcept {
    segment.head().is_closed.store(1, std::memory_order_release);
    wake();
}

void worker_channel::ask_for(answer_signal signal) noexcept {
    // Where it stands already, the worker will take it, after whatever it writes.
    if (segment.head().signal.load(std::memory_order_acquire) == signal && signal != answer_signal::none) return;
    segment.head().signal.store(signal, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);  // before the answers are looked at once more
}

void worker_channel::wake_waiter() noexcept {
    segment.head().waiter.fetch_add(1, std::memory_order_release);  // enough for one who is about to sleep
    std::atomic_thread_fence(std::memory_order_seq_cst);
    // Either nobody sleeps, or the worker has taken the signal and is about to wake him, unless it was killed there.
    if (segment.head().signal.load(std::memory_order_relaxed) == answer_signal::none && !is_gone) return;
    futex_wake(segment.head().waiter, 1, futex_scope::shared);
}

}  // namespace tercet::multiprocessing
