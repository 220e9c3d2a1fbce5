#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <thread>
#include <vector>

namespace tercet::asyncio {

class blocking_call;

/// The threads of a loop for calls that may block: a few, started when they are needed, apart from those of the
/// resolver and from the pools of users, so that none waits behind the others.
class file_threads {
public:
    static constexpr std::size_t max_threads = 4;

    file_threads() = default;
    file_threads(const file_threads&) = delete;
    file_threads& operator=(const file_threads&) = delete;
    /// No call is left.
    ~file_threads();

    /// 0, or why there is not a single thread.
    int push(blocking_call& call) noexcept;
    /// False: the call has begun.
    bool remove(blocking_call& call) noexcept;

private:
    void work() noexcept;
    blocking_call* take() noexcept;

    std::mutex mutex_;
    std::condition_variable has_work_;
    blocking_call* first_ = nullptr;
    blocking_call* last_ = nullptr;
    std::size_t queued_ = 0;
    std::size_t idle_ = 0;
    std::vector<std::thread> threads_;
    bool is_closed_ = false;
};

}  // namespace tercet::asyncio
