#pragma once

#include <tercet/threading/lock_diagnostics.hpp>
#include <tercet/threading/quick_lock.hpp>

#include <chrono>
#include <source_location>

namespace tercet::threading {

/// Waits for a lock that another thread has. Returns whether the calling thread has it now: false when `deadline` is
/// over. Throws `invalid_state_error` when its owner has ended.
inline bool wait_for_owner(quick_lock& word, lock_note& note, std::chrono::steady_clock::time_point deadline,
                           std::source_location site) {
    for (;;) {
        note.begins_to_wait(site);
        const bool is_mine = word.try_lock_until(deadline);
        note.ends_to_wait();
        if (is_mine) return true;
        note.check_owner();
        if (std::chrono::steady_clock::now() >= deadline) return false;
        // A lock whose owner had ended was freed by somebody else before it was asked who that was.
    }
}

}  // namespace tercet::threading
