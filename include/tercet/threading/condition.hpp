#pragma once

#include <tercet/futures/time_limit.hpp>
#include <tercet/threading/lock.hpp>
#include <tercet/threading/rlock.hpp>
#include <tercet/threading/waiting_line.hpp>

#include <chrono>
#include <cstddef>
#include <optional>

namespace tercet::threading {

/// Threads that hold a lock wait here until another one that holds it notifies them, first come, first served. Brings
/// an `rlock` of its own, or works with a lock that outlives it. Works with the guards of the standard library.
///
///     std::unique_lock inside(ready);
///     ready.wait_for([&] { return !items.empty(); });
class condition {
public:
    /// With an `rlock` of its own.
    condition() noexcept;
    /// With `shared`, which may belong to other conditions too.
    explicit condition(primitive_lock& shared) noexcept;
    explicit condition(rlock& shared) noexcept;
    condition(const condition&) = delete;
    condition& operator=(const condition&) = delete;

    /// The lock's own methods.
    bool acquire(time_limit limit = {}, std::source_location site = std::source_location::current());
    void release();
    void lock() { acquire({}, {}); }
    void unlock() { release(); }
    bool try_lock() { return acquire(std::chrono::seconds(0), {}); }

    /// Frees the lock (an `rlock` altogether, however often it is held), waits up to `limit` for a notification, and
    /// has the lock again on return, however long that takes. Returns whether a notification came; there are none
    /// without cause. Throws `invalid_state_error` when the lock is not held: by the calling thread, if it is an
    /// `rlock`, by anybody, if it is a `lock`.
    bool wait(time_limit limit = {});

    /// Waits until `predicate()`, which is called with the lock held, is true. Returns false when it is still not true
    /// after `limit`, which counts once for all notifications. Throws as `wait`, and what `predicate` throws.
    template <class Predicate>
    bool wait_for(Predicate predicate, time_limit limit = {}) {
        check_held("wait_for");
        const auto deadline = limit.deadline();
        while (!predicate())
            if (!wait_until(deadline)) return static_cast<bool>(predicate());
        return true;
    }

    /// Wakes up to `count` of those who wait, the longest first; those who come later are not meant.
    /// Throws `invalid_state_error` when the lock is not held, as `wait`.
    void notify(std::size_t count = 1);
    /// Wakes all who wait. Throws as `notify`.
    void notify_all();

    /// Frees the lock and forgets who waits: for the child of a fork, in which those threads do not exist.
    void at_fork_reinit() noexcept;

private:
    void check_held(const char* method) const;
    bool wait_until(std::chrono::steady_clock::time_point deadline);

    std::optional<rlock> own_;
    primitive_lock* lock_ = nullptr;
    rlock* rlock_ = nullptr;
    quick_lock mutex_;
    waiting_line waiters_;  // under mutex_: "held" does not mean "by us" when it is a lock
};

}  // namespace tercet::threading
