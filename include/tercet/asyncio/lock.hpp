#pragma once

#include <tercet/asyncio/task_base.hpp>
#include <tercet/asyncio/wait_list.hpp>

#include <string>
#include <utility>

namespace tercet::asyncio {

/// Mutual exclusion among the tasks of one loop, first come, first served. It belongs to the task that acquired it:
/// only that may release it, and may not acquire it again. Where one task acquires and another releases, take a
/// `semaphore`.
///
///     const auto guard = co_await door.scoped();
class lock : private done_listener {
public:
    /// Waits for the lock: base of the awaiters that have it when they resume.
    class waiter : public wait_list::waiter {
    protected:
        explicit waiter(lock& wanted) noexcept : lock_(wanted) {}
        ~waiter() = default;
        /// Throws unless the task has the lock now.
        void throw_if_not_granted() const {
            throw_if_not_woken();
            if (refusal_ != refusal::none) [[unlikely]]
                throw_refused();
        }

    private:
        friend class condition;
        friend class lock;
        enum class refusal : unsigned char { none, is_held_by_the_task, is_not_held_by_the_task, is_abandoned };
        [[noreturn]] void throw_refused() const;

        lock& lock_;
        refusal refusal_ = refusal::none;
    };

    class acquire_awaiter : public waiter {
    public:
        explicit acquire_awaiter(lock& wanted) noexcept : waiter(wanted) {}
        void await_resume() const { throw_if_not_granted(); }

    private:
        bool begin() noexcept final;
    };

    /// Releases the lock when it goes, in whichever task.
    class [[nodiscard]] guard {
    public:
        guard(lock& held, task_base& owner) noexcept : lock_(&held), owner_(&owner) {}
        guard(guard&& other) noexcept : lock_(std::exchange(other.lock_, nullptr)), owner_(other.owner_) {}
        guard& operator=(guard&& other) noexcept {
            std::swap(lock_, other.lock_);
            std::swap(owner_, other.owner_);
            return *this;
        }
        ~guard() {
            if (lock_ && lock_->owner_ == owner_) lock_->hand_over();
        }

    private:
        lock* lock_;
        task_base* owner_;
    };

    class guard_awaiter final : public acquire_awaiter {
    public:
        explicit guard_awaiter(lock& wanted) noexcept : acquire_awaiter(wanted), wanted_(wanted) {}
        guard await_resume() const {
            throw_if_not_granted();
            return guard(wanted_, waiting_task());
        }

    private:
        lock& wanted_;
    };

    lock() noexcept : done_listener(&owner_ended) {}
    lock(const lock&) = delete;
    lock& operator=(const lock&) = delete;
    ~lock();

    /// Takes the lock, waiting while another task has it.
    /// Throws `cancelled_error`, and `invalid_state_error` when the task has it already, or when its owner ended
    /// without releasing it. Cancel safety: a cancelled acquire takes nothing; a lock that was handed over before the
    /// cancellation is the task's, and its next wait throws.
    [[nodiscard]] acquire_awaiter acquire() noexcept { return acquire_awaiter(*this); }

    /// The same, and the lock is released by itself: `const auto guard = co_await door.scoped();`
    [[nodiscard]] guard_awaiter scoped() noexcept { return guard_awaiter(*this); }

    /// Takes the lock for the running task if it is free. Throws `invalid_state_error` outside a task, and when the
    /// owner ended without releasing it.
    bool try_acquire();

    /// Gives the lock to the next in line. Throws `invalid_state_error` when it is not the running task that has it.
    void release();

    /// A task has the lock.
    bool locked() const noexcept { return owner_ != nullptr; }
    /// The name of the task that has it; empty when it is free.
    std::string owner_name() const { return owner_ ? owner_->name() : std::string(); }

private:
    friend class condition;

    bool is_free() const noexcept { return !owner_ && !is_abandoned_; }
    void give_to(task_base& task) noexcept {
        owner_ = &task;
        task.listen(*this);
    }
    void hand_over() noexcept;
    static void owner_ended(done_listener& self) noexcept;
    [[noreturn]] void throw_abandoned() const;

    wait_list waiters_;
    task_base* owner_ = nullptr;
    bool is_abandoned_ = false;
    std::string last_owner_;  // when it is abandoned
};

}  // namespace tercet::asyncio
