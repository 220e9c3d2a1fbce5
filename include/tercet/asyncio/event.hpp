#pragma once

#include <tercet/asyncio/wait_list.hpp>

namespace tercet::asyncio {

/// A flag that coroutines of one loop wait for. From another thread, set it by `call_soon_threadsafe`.
class event {
public:
    class awaiter final : public wait_list::waiter {
    public:
        explicit awaiter(event& owner) noexcept : owner_(owner) {}
        void await_resume() const { throw_if_not_woken(); }

    private:
        bool begin() noexcept override {
            if (owner_.is_set_) return true;
            wait_in(owner_.waiters_);
            return false;
        }
        event& owner_;
    };

    /// Whether a wait would return at once.
    bool is_set() const noexcept { return is_set_; }

    /// Sets the flag; all who wait go on, even if it is cleared before their turn comes.
    void set() noexcept {
        is_set_ = true;
        waiters_.wake_all();
    }
    /// Takes the flag back: who comes from now on waits.
    void clear() noexcept { is_set_ = false; }

    /// Waits until the flag is set. Throws `cancelled_error`. Cancel safety: nothing to lose.
    [[nodiscard]] awaiter wait() noexcept { return awaiter(*this); }

private:
    wait_list waiters_;
    bool is_set_ = false;
};

}  // namespace tercet::asyncio
