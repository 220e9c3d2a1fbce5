#pragma once

#include <coroutine>
#include <cstdint>

namespace tercet::asyncio {

class event_loop;
class promise_base;
class task_base;
class task_search;

/// What a task waits for: the base of every awaiter that can suspend a task. A task waits for one thing at a time, so
/// this is also the hook by which a cancellation finds it. The states stand in suspension.cpp.
class suspension {
public:
    suspension(const suspension&) = delete;
    suspension& operator=(const suspension&) = delete;

    bool await_ready() const noexcept { return false; }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> waiter) noexcept {
        return suspend(waiter.promise());
    }

    /// The coroutine that waits; from `begin` on.
    promise_base* waiter() const noexcept { return waiter_; }
    /// Adds the tasks for whose end this waits, those that it joins, or all.
    virtual void name_awaited(task_search& search) const noexcept;

protected:
    /// What happens when the task is cancelled already before the wait begins.
    enum class entry : unsigned char {
        refused,  ///< nothing is begun, the wait throws
        joins,    ///< the wait begins and is told at once: `abandon` passes the cancellation on
    };

    explicit suspension(entry when_cancelled = entry::refused) noexcept : when_cancelled_(when_cancelled) {}
    ~suspension() = default;

    /// Tries once, and returns true when there is nothing to wait for; otherwise links the awaiter where `complete`
    /// will find it.
    virtual bool begin() noexcept = 0;

    /// The task is cancelled while it waits. Unlinks the awaiter, so that `complete` is not called any more, and
    /// returns true: the wait throws `cancelled_error`. Or returns false: the wait goes on.
    virtual bool abandon() noexcept = 0;

    /// The wait is over; the task goes on in one of the next turns. On the loop's thread, once, after `begin` returned
    /// false.
    void complete() noexcept;

    /// To be called first when the coroutine resumes.
    void throw_if_cancelled() const {
        if (was_cancelled_) throw_cancelled();
    }

    /// The task that waits; from `begin` on.
    task_base& waiting_task() const noexcept;
    event_loop& loop() const noexcept;

private:
    friend class task_base;

    bool suspend(promise_base& waiter) noexcept;
    [[noreturn]] void throw_cancelled() const;

    promise_base* waiter_ = nullptr;
    entry when_cancelled_;
    bool was_cancelled_ = false;
};

}  // namespace tercet::asyncio
