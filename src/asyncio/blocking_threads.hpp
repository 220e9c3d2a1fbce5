#pragma once

#include <tercet/futures/job.hpp>

#include <condition_variable>
#include <cstddef>
#include <list>
#include <mutex>
#include <thread>

namespace tercet::asyncio {

/// Threads for calls that block: started when no other is free, gone after a while without work.
class blocking_threads {
public:
    explicit blocking_threads(std::size_t max_threads) noexcept : max_threads_(max_threads) {}
    blocking_threads(const blocking_threads&) = delete;
    blocking_threads& operator=(const blocking_threads&) = delete;
    /// Cancels calls that have not begun and waits for those that run.
    ~blocking_threads();

    /// Runs `work` on a thread, in the order of the calls; beyond the limit of threads it waits. Throws
    /// `std::system_error` when there is no thread and none can be started, and `std::bad_alloc`; `work` is the
    /// caller's then.
    void submit(job& work);

private:
    struct worker {
        std::thread thread;
    };

    void add_worker();
    void work(std::list<worker>::iterator me);

    std::size_t max_threads_;
    std::mutex mutex_;
    std::condition_variable has_work_;
    std::list<job*> jobs_;
    std::list<worker> workers_;
    std::list<worker> ended_;  // to be joined
    std::size_t idle_ = 0;
    bool is_closing_ = false;
};

}  // namespace tercet::asyncio
