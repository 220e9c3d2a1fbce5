#pragma once

#include <tercet/multiprocessing/message_block.hpp>

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

namespace tercet::multiprocessing {

/// The blocks of a pool, used again and again, and given back to the system when they were not needed for a while.
/// Thread-safe.
class block_cache {
public:
    /// How much memory of blocks that nobody uses is kept.
    static constexpr std::size_t most_kept = std::size_t{1} << 30U;

    /// An empty block. Null: no memory.
    std::unique_ptr<message_block> take() noexcept;
    void give_back(std::unique_ptr<message_block> block) noexcept;

    /// Lets those go that were not used since the last call.
    void trim() noexcept;
    /// Whether it keeps none.
    bool is_empty() const noexcept { return count_.load(std::memory_order_relaxed) == 0; }

private:
    struct kept {
        std::unique_ptr<message_block> block;
        bool is_old;  // was here at the last `trim`
    };

    std::mutex mutex_;
    std::vector<kept> free_;  // the last one was used last
    std::size_t free_bytes_ = 0;
    std::atomic<std::size_t> count_{0};  // of `free_`
};

}  // namespace tercet::multiprocessing
