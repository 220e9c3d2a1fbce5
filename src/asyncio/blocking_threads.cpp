// One queue under a mutex: calls that block are not so short that it would matter. A thread is started when fewer are
// idle than jobs wait. One that leaves for want of work moves itself to the list of those that are to be joined, which
// the next submit or the end does.

#include "asyncio/blocking_threads.hpp"

#include <chrono>
#include <utility>

namespace tercet::asyncio {

namespace {

constexpr std::chrono::seconds idle_limit{10};

}  // namespace

blocking_threads::~blocking_threads() {
    std::list<job*> unstarted;
    {
        const std::scoped_lock guard(mutex_);
        is_closing_ = true;
        unstarted.swap(jobs_);
    }
    has_work_.notify_all();
    for (job* const each : unstarted) each->discard();
    for (worker& each : workers_) each.thread.join();
    for (worker& each : ended_) each.thread.join();
}

void blocking_threads::submit(job& work) {
    std::list<job*> waiting{&work};
    std::list<worker> ended;
    {
        const std::scoped_lock guard(mutex_);
        if (idle_ <= jobs_.size() && workers_.size() < max_threads_) {
            try {
                add_worker();
            } catch (...) {
                if (workers_.empty()) throw;
            }
        }
        jobs_.splice(jobs_.end(), waiting);
        ended.swap(ended_);
    }
    has_work_.notify_one();
    for (worker& each : ended) each.thread.join();
}

void blocking_threads::add_worker() {
    std::list<worker> added(1);
    const auto me = added.begin();
    me->thread = std::thread([this, me] { work(me); });
    workers_.splice(workers_.end(), added);
}

void blocking_threads::work(std::list<worker>::iterator me) {
    std::unique_lock guard(mutex_);
    for (;;) {
        ++idle_;
        const bool has_more = has_work_.wait_for(guard, idle_limit, [this] { return is_closing_ || !jobs_.empty(); });
        --idle_;
        if (is_closing_) return;
        if (!has_more) break;
        job* const next = jobs_.front();
        jobs_.pop_front();
        guard.unlock();
        next->run(nullptr);
        guard.lock();
    }
    ended_.splice(ended_.end(), workers_, me);
}

}  // namespace tercet::asyncio
