#include <tercet/threading/thread_pool_executor.hpp>

#include <memory>
#include <utility>
#include <vector>

#include "threading/pool_core.hpp"
#include "threading/pool_worker.hpp"

namespace tercet::threading {

thread_pool_executor::thread_pool_executor(std::size_t max_workers)
    : thread_pool_executor(thread_pool_options{.max_workers = max_workers}) {}

thread_pool_executor::thread_pool_executor(thread_pool_options options)
    : core_(std::make_shared<core>(std::move(options))) {}

thread_pool_executor::~thread_pool_executor() {
    if (core_->is_lost()) {
        // Nothing of it may be touched here, and what is never freed should still be found.
        static auto* const lost = new std::vector<std::shared_ptr<core>>;
        lost->push_back(std::move(core_));
        return;
    }
    core_->shutdown({.wait = !core_->is_own_thread()});
}

bool thread_pool_executor::enqueue(job& work, int priority, time_limit::clock::time_point give_up) {
    try {
        return core_->enqueue(work, priority, give_up);
    } catch (...) {
        work.discard();
        throw;
    }
}

void thread_pool_executor::check_open() const { core_->check_open(); }

bool thread_pool_executor::has_time() const noexcept { return !core_->is_saturated(); }

bool thread_pool_executor::offer_job(job& work) {
    return core_->is_own_thread() ? core_->offer(work) : enqueue(work, 0, time_limit::clock::time_point::min());
}

void thread_pool_executor::drop_offered(job& work) noexcept { core_->drop_offered(work); }

deadline_watch& thread_pool_executor::watch() { return core_->watch(); }

pool_worker* thread_pool_executor::fork_job(job& work) { return core_->fork(work); }

bool thread_pool_executor::take_back(pool_worker& home, job& forked) noexcept {
    job* const newest = home.deque.pop();
    home.owner().job_left();
    if (newest == &forked) return true;
    if (newest) home.execute_inside(*newest);  // somebody has stolen what was forked
    return false;
}

void thread_pool_executor::shutdown(shutdown_options options) { core_->shutdown(options); }

std::size_t thread_pool_executor::max_workers() const noexcept { return core_->max_workers(); }

std::size_t thread_pool_executor::workers() const { return core_->workers(); }

bool thread_pool_executor::is_own_thread() const noexcept { return core_->is_own_thread(); }

thread_pool_statistics thread_pool_executor::statistics() const { return core_->statistics(); }

}  // namespace tercet::threading
