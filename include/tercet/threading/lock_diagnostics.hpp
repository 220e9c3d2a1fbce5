#pragma once

#include <tercet/threading/quick_lock.hpp>

#include <atomic>
#include <cstdint>
#include <source_location>
#include <string>
#include <vector>

// Whether locks remember who holds them is a choice of the build, because it changes their size. With CMake it comes
// from the target tercet::threading; -DTERCET_LOCK_DIAGNOSTICS=ON or OFF overrules what the build type chose.
#ifndef TERCET_LOCK_DIAGNOSTICS
#error \
    "TERCET_LOCK_DIAGNOSTICS is not defined: link to tercet::threading, or define it as libtercet_threading was built"
#endif

namespace tercet::threading {

/// Whether `lock` and `rlock` remember their owner and where it took them. In release builds they do not: the functions
/// below return nothing then, and cost nothing.
///
/// Builds in which they do have one more check: a lock must not be held any more when the thread that took it ends. Who
/// waits for such a lock, or comes for it later, gets an `invalid_state_error` that names the thread and where it took
/// the lock, where other builds wait for ever; another thread may still free a `lock`, and all is well again.
inline constexpr bool has_lock_diagnostics = TERCET_LOCK_DIAGNOSTICS != 0;

/// A lock that is held, as `held_locks` saw it.
struct held_lock {
    struct waiter {
        std::uint64_t ident = 0;      ///< `get_ident()` of a thread that waits for it
        std::source_location site{};  ///< where; line 0 when it came through a guard of the standard library
    };

    const void* address = nullptr;
    const char* kind = "";        ///< "lock" or "rlock"
    std::uint64_t owner = 0;      ///< `get_ident()` of the thread that took it, which may have ended since
    int native_owner = 0;         ///< the same as the kernel counts threads
    std::source_location site{};  ///< where it was taken; line 0 when that was a guard of the standard library
    std::vector<waiter> waiters{};
};

/// All locks that are held now. Each thread's part is consistent in itself; threads go on while it is made. Any thread.
std::vector<held_lock> held_locks();

/// A text for a person: each held lock, its owner, who waits for it, and every cycle of threads that wait for each
/// other. Empty when no lock is held. Any thread.
std::string deadlock_report();

#if TERCET_LOCK_DIAGNOSTICS

struct held_list;

/// What a lock remembers. Public only because locks have one as a member.
class lock_note {
public:
    lock_note(const char* kind, quick_lock& word) noexcept : kind_(kind), word_(word) {}
    lock_note(const lock_note&) = delete;
    lock_note& operator=(const lock_note&) = delete;
    ~lock_note() { released(); }

    void acquired(std::source_location site) noexcept;
    /// Called before the lock is free; without effect when nobody holds it.
    void released() noexcept;
    /// Between these two the calling thread waits for the lock.
    void begins_to_wait(std::source_location site) noexcept;
    void ends_to_wait() noexcept;
    /// Throws `invalid_state_error` if the owner has ended.
    void check_owner() const;
    /// The calling thread, which owns it, ends.
    void abandon() noexcept { word_.abandon(); }

private:
    friend std::vector<held_lock> held_locks();
    friend struct held_list;

    const char* kind_;
    quick_lock& word_;
    std::atomic<held_list*> owner_{nullptr};
    lock_note* next_ = nullptr;
    lock_note* previous_ = nullptr;
    std::source_location site_{};
};

#else

class lock_note {
public:
    constexpr lock_note(const char*, quick_lock&) noexcept {}
    void acquired(std::source_location) noexcept {}
    void released() noexcept {}
    void begins_to_wait(std::source_location) noexcept {}
    void ends_to_wait() noexcept {}
    void check_owner() const {}
};

#endif

}  // namespace tercet::threading
