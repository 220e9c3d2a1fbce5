#include "counted_job.hpp"

#include <deque>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

namespace tercet::benchmarks {

constinit thread_local job_counter* job_counter_here = nullptr;

namespace {

struct counter_list {
    std::mutex mutex;
    std::deque<job_counter> all;
    std::vector<job_counter*> unused;  // of threads that ended
};

counter_list& counters() {
    static auto* const list = new counter_list;  // threads may outlive main
    return *list;
}

struct giver_back {
    ~giver_back() {
        const std::lock_guard inside(counters().mutex);
        counters().unused.push_back(job_counter_here);
    }
};

}  // namespace

job_counter& claim_job_counter() {
    static thread_local const giver_back at_exit;
    counter_list& list = counters();
    const std::lock_guard inside(list.mutex);
    if (list.unused.empty()) {
        job_counter_here = &list.all.emplace_back();
    } else {
        job_counter_here = list.unused.back();
        list.unused.pop_back();
    }
    static_cast<void>(at_exit);
    return *job_counter_here;
}

long counted_jobs() {
    counter_list& list = counters();
    const std::lock_guard inside(list.mutex);
    long sum = 0;
    for (const auto& each : list.all) sum += each.value.load(std::memory_order_acquire);
    return sum;
}

void wait_for_counted_jobs(long total) {
    long now = 0;
    while ((now = counted_jobs()) < total) std::this_thread::yield();
    if (now > total) throw std::logic_error("more jobs ran than were submitted");
}

}  // namespace tercet::benchmarks
