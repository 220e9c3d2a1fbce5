#pragma once

#include <atomic>
#include <cstdint>
#include <span>

#include "robust_mutex.hpp"

namespace tercet::multiprocessing {

/// Where a thread waits, in shared memory. It holds `presence` while it has the seat, so that others can tell whether
/// it is alive: whose presence can be taken has left or has died.
struct alignas(64) seat {
    static constexpr std::uint32_t is_free = 0;
    static constexpr std::uint32_t is_waiting = 1;
    static constexpr std::uint32_t is_notified = 2;

    robust_mutex presence;
    std::atomic<std::uint32_t> state;
    std::uint32_t round;   ///< of a barrier
    std::uint64_t ticket;  ///< of a condition

    bool is_deserted() {
        if (presence.try_lock() == robust_mutex::outcome::busy) return false;
        presence.unlock();
        return true;
    }
    void leave() noexcept {
        state.store(is_free, std::memory_order_release);
        presence.unlock();
    }
};

/// Takes a seat that is free or whose owner has died, or a new one beyond the `made` that there are; null when all are
/// taken. Under the lock of whoever has the seats.
inline seat* take_seat(std::span<seat> seats, std::uint32_t& made) {
    for (seat& each : seats.first(made))
        if (each.presence.try_lock() != robust_mutex::outcome::busy) return &each;
    if (made == seats.size()) return nullptr;
    seat& next = seats[made];
    next.presence.initialise();
    next.presence.try_lock();
    ++made;
    return &next;
}

}  // namespace tercet::multiprocessing
