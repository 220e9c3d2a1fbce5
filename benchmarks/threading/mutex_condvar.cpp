// What one writes without a library: std::mutex and std::condition_variable. Nothing spins: these are the parked forms.

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>

#include "work.hpp"

namespace tercet::benchmarks {

namespace {

template <class T>
class queue {
public:
    explicit queue(std::size_t capacity) : capacity_(capacity) {}

    void put(T item) {
        {
            std::unique_lock inside(mutex_);
            has_room_.wait(inside, [&] { return items_.size() < capacity_; });
            items_.push_back(std::move(item));
        }
        has_items_.notify_one();
    }

    T get() {
        std::unique_lock inside(mutex_);
        has_items_.wait(inside, [&] { return !items_.empty(); });
        T item = std::move(items_.front());
        items_.pop_front();
        inside.unlock();
        has_room_.notify_one();
        return item;
    }

private:
    const std::size_t capacity_;
    std::mutex mutex_;
    std::condition_variable has_items_;
    std::condition_variable has_room_;
    std::deque<T> items_;
};

class two_workers {
public:
    two_workers() {
        const auto work = [this] {
            while (auto job = queue_.get()) job();
        };
        for (auto& each : threads_) each = std::jthread(work);
        start_two_workers([this](auto job) { post(std::move(job)); });
    }
    ~two_workers() {
        for (std::size_t i = 0; i < 2; ++i) queue_.put(nullptr);
    }

    template <class Fn>
    void post(Fn job) {
        queue_.put(std::move(job));
    }
    std::future<void> submit() {
        promised_job job;
        auto future = job.promise.get_future();
        post(std::move(job));
        return future;
    }

private:
    queue<std::move_only_function<void()>> queue_{65'536};  // as tercet's pool
    std::jthread threads_[2];
};

double submit() {
    two_workers pool;
    return time_submits([&](long count) {
        for (long i = 0; i < count; ++i) pool.post(count_job);
    });
}

double submit_future() {
    two_workers pool;
    return time_futures([&] { return pool.submit(); }, [](auto& future) { future.get(); });
}

double rtt() {
    two_workers pool;
    return time_round_trips([&] { pool.submit().get(); });
}

double rtt_idle() {
    two_workers pool;
    return time_idle_round_trips([&] { pool.submit().get(); });
}

const contender here("mutex+condvar", {{"submit", submit},
                                       {"submit_future", submit_future},
                                       {"rtt", rtt},
                                       {"rtt_idle", rtt_idle},
                                       {"queue_stream", time_stream<queue<long>>},
                                       {"queue_pingpong", time_pingpong<queue<long>>}});

}  // namespace

}  // namespace tercet::benchmarks
