#pragma once

#include <tercet/asyncio/wait_list.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <set>
#include <utility>

namespace tercet::asyncio {

/// Tokens that the tasks of one loop borrow, first come, first served: anyio's CapacityLimiter. Unlike a `semaphore` it
/// knows who has a token, so that no task takes two, and it can be resized.
class capacity_limiter {
    using borrower = std::uint64_t;  // the number of a task, which no other gets

public:
    /// A token that is given back when this goes, in whichever task.
    class [[nodiscard]] token {
    public:
        token(capacity_limiter& owner, borrower who) noexcept : owner_(&owner), who_(who) {}
        token(token&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)), who_(other.who_) {}
        token& operator=(token&& other) noexcept {
            std::swap(owner_, other.owner_);
            std::swap(who_, other.who_);
            return *this;
        }
        ~token() {
            if (owner_) owner_->give_back(who_);
        }

    private:
        capacity_limiter* owner_;
        borrower who_;
    };

    class acquire_awaiter : public wait_list::waiter {
    public:
        explicit acquire_awaiter(capacity_limiter& owner, bool is_for_call = false) noexcept
            : owner_(owner), is_for_call_(is_for_call) {}
        void await_resume() const {
            throw_if_not_woken();
            if (error_) [[unlikely]]
                std::rethrow_exception(error_);
        }

    protected:
        capacity_limiter& owner_;
        borrower who_ = 0;

    private:
        friend class capacity_limiter;
        bool begin() noexcept final;

        bool is_for_call_;
        std::exception_ptr error_;
        std::set<borrower>::node_type place_;  // while it waits: to have a token it needs no memory any more
    };

    class token_awaiter final : public acquire_awaiter {
    public:
        using acquire_awaiter::acquire_awaiter;
        token await_resume() const {
            acquire_awaiter::await_resume();
            return token(owner_, who_);
        }
    };

    /// `total_tokens` may be borrowed at the same time. Throws `std::invalid_argument` for zero.
    explicit capacity_limiter(std::size_t total_tokens);
    capacity_limiter(const capacity_limiter&) = delete;
    capacity_limiter& operator=(const capacity_limiter&) = delete;
    ~capacity_limiter() = default;

    /// Borrows a token for the task, waiting while there is none.
    /// Throws `cancelled_error`, `invalid_state_error` when the task has one already, and `std::bad_alloc`. Cancel
    /// safety: a cancelled acquire takes nothing; a token that was handed over before the cancellation is the task's,
    /// and its next wait throws.
    [[nodiscard]] acquire_awaiter acquire() noexcept { return acquire_awaiter(*this); }
    /// The same, and the token is given back by itself: `const auto token = co_await limit.scoped();`
    [[nodiscard]] token_awaiter scoped() noexcept { return token_awaiter(*this); }
    /// The same for a call that the task makes, of which it may make several.
    [[nodiscard]] token_awaiter scoped_for_call() noexcept { return token_awaiter(*this, true); }
    /// Borrows a token for the running task if there is one. Throws `invalid_state_error` outside a task and when the
    /// task has one already, and `std::bad_alloc`.
    bool try_acquire();

    /// Gives the token of the running task to the next in line. Throws `invalid_state_error` when it has none.
    void release();

    /// How many may be out at the same time.
    std::size_t total_tokens() const noexcept { return total_; }
    /// Changes how many there are. More let as many in who wait, in their order; with less than are borrowed nothing is
    /// taken away, and nobody gets one until enough came back. Throws `std::invalid_argument` for zero.
    void set_total_tokens(std::size_t total_tokens);

    /// How many are out; after `set_total_tokens` this may be more than there are.
    std::size_t borrowed_tokens() const noexcept { return borrowers_.size(); }
    /// How many may be borrowed without waiting.
    std::size_t available_tokens() const noexcept {
        return borrowed_tokens() < total_ ? total_ - borrowed_tokens() : 0;
    }

private:
    void give_back(borrower who) noexcept;
    void let_in() noexcept;

    wait_list waiters_;
    std::set<borrower> borrowers_;
    std::size_t total_;
    borrower calls_ = 0;
};

}  // namespace tercet::asyncio
