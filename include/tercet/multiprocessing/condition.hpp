#pragma once

#include <tercet/futures/time_limit.hpp>
#include <tercet/multiprocessing/lock.hpp>
#include <tercet/multiprocessing/rlock.hpp>
#include <tercet/multiprocessing/shared_page.hpp>

#include <chrono>
#include <cstddef>

namespace tercet::multiprocessing {

/// Processes and their threads that hold a lock wait here until another one that holds it notifies them, first come,
/// first served. A handle: copies are the same condition and the same lock, also one that was sent to a worker. Who
/// has died while it waits is passed over. Who dies after it was notified, before it has the lock again, takes that
/// notification with it: after the death of a process notify once more. Works with the guards of the standard library.
/// Any thread.
///
///     std::unique_lock inside(ready);
///     ready.wait_for([&] { return count.get_obj() > 0; });
class condition {
public:
    /// How many may wait at once.
    static constexpr std::size_t most_waiters = 1'000;

    /// With an `rlock` of its own. Throws `std::system_error` when there is no descriptor or memory for it.
    condition() : condition(rlock()) {}
    /// With `shared`, which may belong to other conditions too.
    explicit condition(const primitive_lock& shared);
    explicit condition(const rlock& shared);

    /// The lock's own methods.
    bool acquire(time_limit limit = {}) const { return lock_.acquire(limit); }
    void release() const { lock_.release(); }
    void lock() const { lock_.lock(); }
    void unlock() const { lock_.unlock(); }
    bool try_lock() const { return lock_.try_lock(); }
    bool owner_died() const noexcept { return lock_.owner_died(); }

    /// Frees the lock (an `rlock` altogether, however often it is held), waits up to `limit` for a notification, and
    /// has the lock again on return, however long that takes. Returns whether a notification came; there are none
    /// without cause. Throws `invalid_state_error` when the calling thread does not hold the lock, `std::length_error`
    /// when `most_waiters` wait already.
    bool wait(time_limit limit = {}) const;

    /// Waits until `predicate()`, which is called with the lock held, is true. Returns false when it is still not true
    /// after `limit`, which counts once for all notifications. Throws as `wait`, and what `predicate` throws.
    template <class Predicate>
    bool wait_for(Predicate predicate, time_limit limit = {}) const {
        check_held("wait_for");
        const auto deadline = limit.deadline();
        while (!predicate())
            if (!wait_until(deadline)) return static_cast<bool>(predicate());
        return true;
    }

    /// Wakes up to `count` of those who wait, the longest first; those who come later are not meant.
    /// Throws `invalid_state_error` when the calling thread does not hold the lock.
    void notify(std::size_t count = 1) const;
    void notify_all() const;

    template <class Archive>
    void serialize(Archive& archive) {
        page_.serialize(archive, page_kind::condition, size_of_page);
        bool is_recursive = false;
        if constexpr (Archive::is_saving) is_recursive = lock_.page_.kind() == page_kind::rlock;
        archive(is_recursive);
        lock_.serialize_as(archive, is_recursive ? page_kind::rlock : page_kind::lock);
    }

private:
    struct contents;
    static constexpr std::size_t size_of_page = 64 * (most_waiters + 1);

    condition(recoverable_lock shared, int);
    void check_held(const char* method) const;
    bool wait_until(std::chrono::steady_clock::time_point deadline) const;

    shared_page page_;
    recoverable_lock lock_;
};

}  // namespace tercet::multiprocessing
