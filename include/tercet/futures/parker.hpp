#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace tercet {

/// Blocks one thread until another calls `unpark`; a call that came first is not lost. One futex word, no allocation.
class parker {
public:
    /// Waits for `unpark` until `deadline`. Returns whether it came; takes it, so that the next `park` waits anew.
    /// Signals do not shorten or lengthen the wait.
    bool park(std::chrono::steady_clock::time_point deadline) noexcept;

    /// Takes the signal of an `unpark` that came, without waiting. False: none came.
    bool try_park() noexcept;

    /// Wakes the thread in `park`, or lets its next `park` pass. Any thread. The parker may be destroyed as soon as
    /// `park` has returned, even while this call is still on its way out.
    void unpark() noexcept;

private:
    std::atomic<std::uint32_t> state_{0};
};

}  // namespace tercet
