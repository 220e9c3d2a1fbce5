#pragma once

#include <tercet/asyncio/wait_list.hpp>

#include <cstddef>
#include <utility>

namespace tercet::asyncio {

/// A counter of permits that coroutines of one loop wait for, first come, first served.
class semaphore {
public:
    /// `permits` may be acquired before anyone waits.
    explicit semaphore(std::size_t permits) noexcept : permits_(permits) {}

    /// A permit that is given back when this goes.
    class [[nodiscard]] permit {
    public:
        explicit permit(semaphore& owner) noexcept : owner_(&owner) {}
        permit(permit&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)) {}
        permit& operator=(permit&& other) noexcept {
            std::swap(owner_, other.owner_);
            return *this;
        }
        ~permit() {
            if (owner_) owner_->release();
        }

    private:
        semaphore* owner_;
    };

    class acquire_awaiter : public wait_list::waiter {
    public:
        explicit acquire_awaiter(semaphore& owner) noexcept : owner_(owner) {}
        void await_resume() const { throw_if_not_woken(); }

    protected:
        semaphore& owner_;

    private:
        bool begin() noexcept final {
            if (owner_.try_acquire()) return true;
            wait_in(owner_.waiters_);
            return false;
        }
    };

    class permit_awaiter final : public acquire_awaiter {
    public:
        using acquire_awaiter::acquire_awaiter;
        permit await_resume() const {
            throw_if_not_woken();
            return permit(owner_);
        }
    };

    /// Takes a permit, waiting while there is none.
    /// Throws `cancelled_error`. Cancel safety: a cancelled acquire takes nothing; a permit that was handed over before
    /// the cancellation is the caller's, and its next wait throws.
    [[nodiscard]] acquire_awaiter acquire() noexcept { return acquire_awaiter(*this); }

    /// The same, and the permit is given back by itself: `auto permit = co_await limit.scoped();`
    [[nodiscard]] permit_awaiter scoped() noexcept { return permit_awaiter(*this); }

    /// Takes a permit if there is one and nobody waits.
    bool try_acquire() noexcept {
        if (permits_ == 0) return false;
        --permits_;
        return true;
    }

    /// Returns `count` permits and makes that many waiters ready. Never resumes one inside the call.
    void release(std::size_t count = 1) noexcept {
        while (count > 0 && waiters_.wake_one()) --count;
        permits_ += count;
    }

    /// How many permits are free.
    std::size_t available() const noexcept { return permits_; }

private:
    wait_list waiters_;
    std::size_t permits_;  // zero while anybody waits
};

}  // namespace tercet::asyncio
