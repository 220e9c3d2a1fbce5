#pragma once

#include <tercet/futures/parker.hpp>

#include <chrono>

namespace tercet {

class future_state_base;

/// A thread that does other work while it waits for a future: a worker of a pool. Everything in this module that blocks
/// asks whether it is on one. So calls that wait for calls of their own pool do not wait for ever.
class helping_thread {
public:
    /// The one that runs here, or null.
    static helping_thread* current() noexcept;

    /// Called before each wait, with the state that is waited for; null: it is not one alone. Throws
    /// `invalid_state_error` when the wait could not end, because this thread would have to go on below on its stack.
    virtual void check_wait(const future_state_base* waited) = 0;

    /// Does other work, or sleeps, until `is_over(context)` or `deadline`; returns the former. Whoever makes it true
    /// calls `wake_up().unpark()` after. May look at it more often than that.
    virtual bool wait(bool (*is_over)(void* context), void* context,
                      std::chrono::steady_clock::time_point deadline) noexcept = 0;

    /// Wakes this thread from `wait`. It outlives the thread, so whoever wakes need not hurry.
    parker& wake_up() const noexcept { return wake_up_; }

    helping_thread(const helping_thread&) = delete;
    helping_thread& operator=(const helping_thread&) = delete;

protected:
    helping_thread();
    ~helping_thread();

    /// Makes this the current one of the calling thread; null: none.
    static void set_current(helping_thread* thread) noexcept;

private:
    parker& wake_up_;
};

}  // namespace tercet
