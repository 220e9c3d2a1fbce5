#pragma once

#include <tercet/asyncio/coro.hpp>
#include <tercet/asyncio/lock.hpp>
#include <tercet/asyncio/wait_list.hpp>

#include <cstddef>
#include <optional>
#include <utility>

namespace tercet::asyncio {

/// Tasks of one loop that hold a lock wait here until another one that holds it notifies them, first come, first
/// served. Brings a `lock` of its own, or works with one that outlives it.
///
///     const auto guard = co_await changed.scoped();
///     while (items.empty()) co_await changed.wait();
class condition {
public:
    class wait_awaiter final : public lock::waiter {
    public:
        explicit wait_awaiter(condition& owner) noexcept : lock::waiter(*owner.lock_), owner_(owner) {}
        void await_resume() const;

    private:
        bool begin() noexcept override;
        bool abandon() noexcept override;

        condition& owner_;
        bool is_notified_ = false;
        bool is_cancelled_ = false;
        friend class condition;
    };

    /// With a lock of its own.
    condition() noexcept : lock_(&own_.emplace()) {}
    /// With `shared`, which may belong to other conditions too.
    explicit condition(lock& shared) noexcept : lock_(&shared) {}
    condition(const condition&) = delete;
    condition& operator=(const condition&) = delete;

    // The lock's own methods: what they throw, and mean to a cancellation, stands there.

    [[nodiscard]] lock::acquire_awaiter acquire() noexcept { return lock_->acquire(); }
    [[nodiscard]] lock::guard_awaiter scoped() noexcept { return lock_->scoped(); }
    bool try_acquire() { return lock_->try_acquire(); }
    void release() { lock_->release(); }
    bool locked() const noexcept { return lock_->locked(); }

    /// Releases the lock, waits for a notification, and has the lock again when it returns or throws; there are no
    /// notifications without cause. Throws `cancelled_error`, and `invalid_state_error` when the task does not hold the
    /// lock. Cancel safety: a cancelled wait takes no notification, and has the lock again before it throws, however
    /// long that takes; a wait that was notified before the cancellation returns, and the next one throws.
    [[nodiscard]] wait_awaiter wait() noexcept { return wait_awaiter(*this); }

    /// Waits until `predicate()`, which is called with the lock held, is true. Name a predicate with captures before
    /// the expression that awaits. Throws as `wait`, and what `predicate` throws. Cancel safety: as `wait`.
    template <class Predicate>
    [[nodiscard]] coro<> wait_for(Predicate predicate) {
        while (!predicate()) co_await wait();
    }

    /// Lets up to `count` of those who wait go on, the longest first, as soon as they have the lock. Throws
    /// `invalid_state_error` when the running task does not hold the lock.
    void notify(std::size_t count = 1);
    /// The same for all who wait now.
    void notify_all();

private:
    std::optional<lock> own_;
    lock* lock_;
    wait_list waiters_;
};

}  // namespace tercet::asyncio
