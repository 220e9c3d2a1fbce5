#pragma once

#include <tercet/asyncio/wait_list.hpp>

#include <cstddef>
#include <cstdint>

namespace tercet::asyncio {

/// A number of tasks of one loop wait here for each other, again and again.
class barrier {
public:
    class wait_awaiter final : public wait_list::waiter {
    public:
        explicit wait_awaiter(barrier& owner) noexcept : owner_(owner) {}
        std::size_t await_resume() const;

    private:
        friend class barrier;
        enum class ending : std::uint8_t { passed, found_broken, aborted, reset };

        bool begin() noexcept override;
        bool abandon() noexcept override;

        barrier& owner_;
        std::size_t index_ = 0;
        ending ended_ = ending::passed;
    };

    /// `parties` tasks pass together. Throws `std::invalid_argument` for none.
    explicit barrier(std::size_t parties);

    /// Waits for the others. Returns a number from 0 to parties - 1 in the order of arrival, another one for each task
    /// of the round: who has 0 may do what is to be done once.
    /// Throws `broken_barrier_error` when the barrier is or gets broken, by `abort` or by `reset` while this task
    /// waited, and `cancelled_error`. Cancel safety: a cancelled wait does not count, and the others go on waiting for
    /// one more to come; a round that was complete before the cancellation is passed.
    [[nodiscard]] wait_awaiter wait() noexcept { return wait_awaiter(*this); }

    /// Mends the barrier and begins a new round. Those who wait in the old one get `broken_barrier_error`.
    void reset() noexcept;
    /// Breaks the barrier: all who wait and all who come get `broken_barrier_error`, until `reset`. Tasks whose round
    /// is complete pass, also when they have not run since.
    void abort() noexcept;

    /// How many tasks pass together.
    std::size_t parties() const noexcept { return parties_; }
    /// How many tasks wait now for others to come.
    std::size_t n_waiting() const noexcept { return waiting_; }
    /// Whether waits throw, since `abort`.
    bool broken() const noexcept { return is_broken_; }

private:
    void end_round(wait_awaiter::ending how) noexcept;

    wait_list waiters_;
    std::size_t parties_;
    std::size_t waiting_ = 0;
    bool is_broken_ = false;
};

}  // namespace tercet::asyncio
