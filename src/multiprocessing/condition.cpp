// All but the sleep happens under the user's lock. A waiter takes a seat, with a ticket for its place in the line,
// before it frees the lock, and leaves it when it has the lock again; so a notification that comes as soon as the lock
// is free finds it, and one that came while its time ran out still counts. notify chooses the lowest tickets and passes
// over seats whose owners have died. It marks a seat and wakes its owner in one step.
//
// Who dies with the lock in its hands leaves seats that are right at every moment: a seat is waited in from the moment
// its state says so, which is written last.

#include <tercet/futures/errors.hpp>
#include <tercet/multiprocessing/condition.hpp>

#include <fmt/format.h>

#include <array>
#include <limits>
#include <stdexcept>

#include "seat.hpp"
#include "shared_futex.hpp"

namespace tercet::multiprocessing {

struct condition::contents {
    page_kind kind;
    std::uint64_t next_ticket;
    std::uint32_t seats_made;
    std::array<seat, most_waiters> seats;
};

condition::condition(const primitive_lock& shared) : condition(shared, 0) {}

condition::condition(const rlock& shared) : condition(shared, 0) {}

condition::condition(recoverable_lock shared, int)
    : page_(page_kind::condition, "tercet-condition", size_of_page), lock_(std::move(shared)) {
    static_assert(sizeof(contents) <= size_of_page);
}

void condition::check_held(const char* method) const {
    if (!lock_.is_owned())
        throw invalid_state_error(fmt::format(
            "condition: {} without holding its lock; acquire it first, for example with std::unique_lock", method));
}

bool condition::wait(time_limit limit) const {
    check_held("wait");
    return wait_until(limit.deadline());
}

bool condition::wait_until(std::chrono::steady_clock::time_point deadline) const {
    auto& here = page_.as<contents>();
    seat* const mine = take_seat(here.seats, here.seats_made);
    if (!mine) throw std::length_error(fmt::format("condition: {} wait already, the limit", most_waiters));
    mine->ticket = here.next_ticket++;
    mine->state.store(seat::is_waiting, std::memory_order_release);
    const std::size_t count = lock_.give_up();
    bool is_late = false;
    while (!is_late && mine->state.load(std::memory_order_acquire) == seat::is_waiting)
        is_late = !futex_wait(mine->state, seat::is_waiting, deadline, futex_scope::shared);
    lock_.take_back(count);
    const bool is_notified = mine->state.load(std::memory_order_acquire) == seat::is_notified;
    mine->leave();
    return is_notified;
}

void condition::notify(std::size_t count) const {
    check_held("notify");
    auto& here = page_.as<contents>();
    while (count != 0) {
        seat* first = nullptr;
        for (seat& each : std::span(here.seats).first(here.seats_made))
            if (each.state.load(std::memory_order_relaxed) == seat::is_waiting &&
                (!first || each.ticket < first->ticket))
                first = &each;
        if (!first) return;
        if (first->is_deserted()) {
            first->state.store(seat::is_free, std::memory_order_relaxed);
        } else {
            store_and_wake_all(first->state, seat::is_notified);
            --count;
        }
    }
}

void condition::notify_all() const {
    check_held("notify_all");
    notify(std::numeric_limits<std::size_t>::max());
}

}  // namespace tercet::multiprocessing
