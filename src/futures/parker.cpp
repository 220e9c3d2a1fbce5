// States: 0 nobody, 1 signalled, 2 a thread sleeps or is about to.
//
//   park    0 -> 2, sleep while 2        1 -> 0 and out        on time-out 2 -> 0, or 1 -> 0 when the signal won
//   unpark  any -> 1, and a wake-up when it was 2
//
// The release of unpark pairs with the acquire of park: what happened before unpark is seen after park. The signal is
// taken by an exchange that acquires, not by a store: another unpark may come between the look and the taking; it
// counts as taken too, so what happened before it must be seen as well. The wake-up call uses the address only as a
// name, so the parker may be gone by then: at worst a stranger sees a spurious wake-up, as futexes allow.

#include <tercet/futures/futex.hpp>
#include <tercet/futures/parker.hpp>

namespace tercet {

namespace {

constexpr std::uint32_t nobody = 0;
constexpr std::uint32_t signalled = 1;
constexpr std::uint32_t sleeping = 2;

}  // namespace

bool parker::park(std::chrono::steady_clock::time_point deadline) noexcept {
    std::uint32_t seen = nobody;
    if (!state_.compare_exchange_strong(seen, sleeping, std::memory_order_acquire)) {
        state_.exchange(nobody, std::memory_order_acquire);
        return true;
    }
    for (;;) {
        const bool in_time = futex_wait(state_, sleeping, deadline);
        seen = state_.load(std::memory_order_acquire);
        if (seen == signalled) {
            state_.exchange(nobody, std::memory_order_acquire);
            return true;
        }
        if (!in_time) return state_.exchange(nobody, std::memory_order_acquire) == signalled;
    }
}

bool parker::try_park() noexcept {
    // Looked at first, so that one who spins does not take the word from the CPU that is going to write it.
    return state_.load(std::memory_order_relaxed) == signalled &&
           state_.exchange(nobody, std::memory_order_acquire) == signalled;
}

void parker::unpark() noexcept {
    if (state_.exchange(signalled, std::memory_order_release) == sleeping) futex_wake(state_, 1);
}

}  // namespace tercet
