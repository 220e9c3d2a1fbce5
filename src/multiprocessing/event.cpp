// Two counters: how often the event was set, and up to which of those it was cleared. It is set while they differ. A
// waiter sleeps while the first one stays what it was, so a clear right after a set holds nobody back. clear only moves
// forward: one that was late does not undo a later one, which would set the event without a set.
//
// A set of an event that is set changes nothing; those who slept were woken by the set before, in one step with it.

#include <tercet/multiprocessing/event.hpp>

#include <atomic>

#include "shared_futex.hpp"

namespace tercet::multiprocessing {

struct event::contents {
    page_kind kind;
    std::atomic<std::uint32_t> sets;
    std::atomic<std::uint32_t> cleared;
};

event::event() : page_(page_kind::event, "tercet-event", size_of_page) {
    static_assert(sizeof(contents) <= size_of_page);
}

bool event::wait(time_limit limit) const {
    auto& here = page_.as<contents>();
    const std::uint32_t before = here.sets.load(std::memory_order_acquire);
    if (before != here.cleared.load(std::memory_order_acquire)) return true;
    if (const auto duration = limit.duration(); duration && duration->count() == 0) return false;
    const auto deadline = limit.deadline();
    for (bool is_late = false;;) {
        if (here.sets.load(std::memory_order_acquire) != before) return true;
        if (is_late) return false;
        is_late = !futex_wait(here.sets, before, deadline, futex_scope::shared);
    }
}

// Who sets and who clears must not both miss what the other has written before: set looks whether it has something to
// do only after all that its caller has done, and clear has cleared before its caller looks at that.
void event::set() const noexcept {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (!is_set()) add_and_wake_all(page_.as<contents>().sets, 1);
}

void event::clear() const noexcept {
    auto& here = page_.as<contents>();
    const std::uint32_t now = here.sets.load(std::memory_order_acquire);
    std::uint32_t cleared = here.cleared.load(std::memory_order_relaxed);
    while (static_cast<std::int32_t>(now - cleared) > 0 &&
           !here.cleared.compare_exchange_weak(cleared, now, std::memory_order_acq_rel)) {
    }
    std::atomic_thread_fence(std::memory_order_seq_cst);
}

bool event::is_set() const noexcept {
    auto& here = page_.as<contents>();
    const std::uint32_t sets = here.sets.load(std::memory_order_acquire);
    return sets != here.cleared.load(std::memory_order_acquire);
}

}  // namespace tercet::multiprocessing
