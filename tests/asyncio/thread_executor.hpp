#pragma once

#include <tercet/futures/executor.hpp>
#include <tercet/futures/job.hpp>
#include <tercet/futures/limited_call.hpp>

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <thread>
#include <type_traits>
#include <utility>

/// One thread and a queue: the least that is an executor.
class thread_executor : public tercet::executor_interface<thread_executor> {
public:
    thread_executor() : thread_([this] { work(); }) {}
    ~thread_executor() { shutdown(); }

    template <class Fn, class... Args>
        requires(!std::is_same_v<std::remove_cvref_t<Fn>, tercet::submit_options>)
    auto submit(Fn&& fn, Args&&... args) {
        auto [work, result] = tercet::make_call(std::forward<Fn>(fn), std::forward<Args>(args)...);
        enqueue(*work);
        return std::move(result);
    }
    template <class Fn, class... Args>
    auto submit(tercet::submit_options options, Fn&& fn, Args&&... args) {
        auto [work, result] =
            tercet::make_limited_call(watch_, std::move(options), std::forward<Fn>(fn), std::forward<Args>(args)...);
        enqueue(*work);
        return std::move(result);
    }
    std::size_t max_workers() const noexcept { return 1; }
    void shutdown(tercet::shutdown_options = {}) {
        {
            const std::scoped_lock guard(mutex_);
            is_ending_ = true;
        }
        changed_.notify_one();
        if (thread_.joinable()) thread_.join();
    }

private:
    void enqueue(tercet::job& work) {
        {
            const std::scoped_lock guard(mutex_);
            jobs_.push_back(&work);
        }
        changed_.notify_one();
    }
    void work() {
        std::unique_lock guard(mutex_);
        for (;;) {
            changed_.wait(guard, [this] { return is_ending_ || !jobs_.empty(); });
            if (jobs_.empty()) return;
            tercet::job* const next = jobs_.front();
            jobs_.pop_front();
            guard.unlock();
            next->run(nullptr);
            guard.lock();
        }
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<tercet::job*> jobs_;
    bool is_ending_ = false;
    tercet::deadline_watch watch_;
    std::thread thread_;
};
