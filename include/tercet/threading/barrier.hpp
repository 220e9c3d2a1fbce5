#pragma once

#include <tercet/futures/errors.hpp>
#include <tercet/futures/time_limit.hpp>
#include <tercet/threading/waiting_line.hpp>

#include <cstddef>
#include <functional>
#include <optional>

namespace tercet::threading {

/// A number of threads wait here for each other, again and again. When one of them gives up, all learn it. Any thread
/// may call anything.
class barrier {
public:
    /// `parties` threads pass together; the last one to come calls `action` first, while the others still wait.
    /// `limit` is for every `wait` that does not say otherwise. Throws `std::invalid_argument` for no parties.
    explicit barrier(std::size_t parties, std::function<void()> action = {}, time_limit limit = {});
    barrier(const barrier&) = delete;
    barrier& operator=(const barrier&) = delete;

    /// Waits for the others. Returns a number from 0 to parties - 1, another one for each thread of the round: who has
    /// 0 may do what is to be done once.
    /// Throws `broken_barrier_error` when the barrier is or gets broken: somebody's limit passed (which breaks it for
    /// all), `abort`, `reset` while this thread waited, or an action that threw; that exception goes to the thread that
    /// called the action.
    std::size_t wait();
    std::size_t wait(time_limit limit);

    /// Mends the barrier and begins a new round. Those who wait in the old one get `broken_barrier_error`.
    void reset();
    /// Breaks the barrier: all who wait and all who come get `broken_barrier_error`, until `reset`.
    void abort();

    /// Mends it and forgets who waits: for the child of a fork, in which those threads do not exist.
    void at_fork_reinit() noexcept;

    /// How many threads pass together.
    std::size_t parties() const noexcept { return parties_; }
    /// How many threads wait now.
    std::size_t n_waiting() const noexcept;
    /// It is broken: `wait` throws until `reset`.
    bool broken() const noexcept;

private:
    /// What a thread that waits finds when it is woken; on its stack.
    struct visit;
    struct released;

    waiting_line::awakened leave_all(bool with_success) noexcept;
    std::size_t finish_round(waiting_line::guard_type& guard, released& woken, std::size_t index);

    const std::size_t parties_;
    const std::function<void()> action_;
    const time_limit limit_;

    mutable quick_lock mutex_;
    waiting_line inside_;           // those of the present round
    waiting_line before_the_door_;  // those who come while the action runs
    visit* visits_ = nullptr;       // of those inside
    std::size_t arrived_ = 0;
    bool is_acting_ = false;
    bool is_broken_ = false;
    bool is_disturbed_ = false;    // abort or reset came while the action ran
    bool misses_a_party_ = false;  // somebody gave up before the door
};

}  // namespace tercet::threading
