#pragma once

#include <tercet/futures/time_limit.hpp>
#include <tercet/threading/waiting_line.hpp>

#include <atomic>

namespace tercet::threading {

/// A flag that threads wait for. What a thread did before `set` is seen by those whom it wakes, and by those who find
/// the flag set. May be destroyed as soon as `wait` has returned, even while that `set` is still on its way out.
class event {
public:
    event() noexcept = default;
    event(const event&) = delete;
    event& operator=(const event&) = delete;

    /// Waits up to `limit` until the flag is set. Returns whether it was: a `clear` right after the `set` does not
    /// hold back those who waited for it.
    bool wait(time_limit limit = {});

    /// Sets the flag and wakes all who wait.
    void set() noexcept;
    /// Whoever comes from here on waits for the next `set`.
    void clear() noexcept;
    /// Leaves the flag and forgets who waits: for the child of a fork, in which those threads do not exist.
    void at_fork_reinit() noexcept;
    /// A moment later the answer may be another one.
    bool is_set() const noexcept { return is_set_.load(std::memory_order_acquire); }

private:
    std::atomic<bool> is_set_{false};  // written under mutex_
    quick_lock mutex_;
    waiting_line waiters_;
};

}  // namespace tercet::threading
