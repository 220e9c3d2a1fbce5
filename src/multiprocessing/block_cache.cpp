#include "block_cache.hpp"

#include <algorithm>
#include <new>
#include <utility>

namespace tercet::multiprocessing {

std::unique_ptr<message_block> block_cache::take() noexcept {
    const std::lock_guard lock(mutex_);
    if (free_.empty()) {
        std::unique_ptr<message_block> fresh(new (std::nothrow) message_block);
        if (fresh) ++count_;
        return fresh;
    }
    auto block = std::move(free_.back().block);
    free_.pop_back();
    free_bytes_ -= block->capacity();
    return block;
}

void block_cache::give_back(std::unique_ptr<message_block> block) noexcept {
    block->clear();
    const std::lock_guard lock(mutex_);
    try {
        if (block->capacity() <= most_kept - std::min(free_bytes_, most_kept)) {
            free_.push_back({nullptr, false});
            free_bytes_ += block->capacity();
            free_.back().block = std::move(block);
            return;
        }
    } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): then it is not kept
    }
    --count_;
}

void block_cache::trim() noexcept {
    const std::lock_guard lock(mutex_);
    count_ -= std::erase_if(free_, [this](const kept& each) {
        if (each.is_old) free_bytes_ -= each.block->capacity();
        return each.is_old;
    });
    for (auto& each : free_) each.is_old = true;
}

}  // namespace tercet::multiprocessing
