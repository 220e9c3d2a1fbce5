#include "block_cache.hpp"

#include <algorithm>
#include <new>
#include <utility>

namespace tercet::multiprocessing {

std::unique_ptr<message_block> block_cache::take() noexcept {
    const std::lock_guard lock(mutex_);
    if (free_.empty()) return std::unique_ptr<message_block>(new (std::nothrow) message_block);
    auto block = std::move(free_.back().block);
    free_.pop_back();
    free_bytes_ -= block->capacity();
    count_ = free_.size();
    return block;
}

void block_cache::give_back(std::unique_ptr<message_block> block) noexcept {
    if (block->is_too_large()) return;
    block->clear();
    const std::lock_guard lock(mutex_);
    if (block->capacity() > most_kept - std::min(free_bytes_, most_kept)) return;
    try {
        free_.push_back({nullptr, false});
    } catch (const std::bad_alloc&) {  // then it is not kept
        return;
    }
    free_bytes_ += block->capacity();
    free_.back().block = std::move(block);
    count_ = free_.size();
}

void block_cache::trim() noexcept {
    const std::lock_guard lock(mutex_);
    std::erase_if(free_, [this](const kept& each) {
        if (each.is_old) free_bytes_ -= each.block->capacity();
        return each.is_old;
    });
    for (auto& each : free_) each.is_old = true;
    count_ = free_.size();
}

}  // namespace tercet::multiprocessing
