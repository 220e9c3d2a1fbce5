#pragma once

#include <tercet/asyncio/ready_queue.hpp>

#include <atomic>
#include <cstdint>

namespace tercet::asyncio {

/// Where other threads leave work for a loop. Reference-counted, since such a thread may still be on its way when the
/// loop is gone; it is closed then. The protocol stands in inbox.cpp.
class inbox {
public:
    /// With one reference. Throws `std::system_error` when there is no descriptor left.
    inbox();
    inbox(const inbox&) = delete;
    inbox& operator=(const inbox&) = delete;

    // Any thread.

    /// Leaves `node` for the loop, waking it if it sleeps. False: the loop has ended, `node` is still the caller's.
    /// The node may be gone when this returns true; the caller needs a reference to the inbox.
    bool push(ready_node& node) noexcept;
    void add_references(std::uint32_t count = 1) noexcept { references_.fetch_add(count, std::memory_order_relaxed); }
    void release(std::uint32_t count = 1) noexcept;

    // The loop's thread.

    /// What was left, oldest first, linked by `next`.
    ready_node* take() noexcept;
    /// From here on `push` wakes the loop, until `take`. False: something has been left meanwhile, do not sleep.
    bool prepare_sleep() noexcept;
    /// Refuses further work and returns the last of it, oldest first.
    ready_node* close() noexcept;
    /// Readable, edge-triggered, when the loop is to wake.
    int wake_descriptor() const noexcept { return wake_descriptor_; }

private:
    ~inbox();

    static ready_node* oldest_first(ready_node* newest) noexcept;

    ready_node asleep_;
    ready_node closed_;
    std::atomic<ready_node*> head_{nullptr};
    std::atomic<std::uint32_t> references_{1};
    int wake_descriptor_;
};

}  // namespace tercet::asyncio
