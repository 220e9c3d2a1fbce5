#pragma once

#include <tercet/futures/time_limit.hpp>
#include <tercet/multiprocessing/shared_page.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>

namespace tercet::multiprocessing {

/// What `lock` and `rlock` have in common. A handle: copies are the same lock, also one that was sent to a worker as an
/// argument. Belongs to the thread that took it, and only that thread may release it: so it is known whose death frees
/// it. Works with the guards of the standard library. Any thread.
class recoverable_lock {
public:
    /// Takes the lock, waiting up to `limit` while another has it. Returns whether it was taken. When the owner dies,
    /// the next one has it, and `owner_died()` says so. Throws `invalid_state_error` when the calling thread has a
    /// `lock` already, and so would wait for itself; `std::system_error` when the memory of the lock was overwritten.
    bool acquire(time_limit limit = {}) const;

    /// Throws `invalid_state_error` when the calling thread does not own it.
    void release() const;

    void lock() const { acquire(); }
    void unlock() const { release(); }
    /// As `acquire`, without waiting; false also when the calling thread has a `lock` already.
    bool try_lock() const;
    template <class Rep, class Period>
    bool try_lock_for(std::chrono::duration<Rep, Period> duration) const {
        return acquire(time_limit(std::max(duration, duration.zero())));
    }
    template <class Clock, class Duration>
    bool try_lock_until(std::chrono::time_point<Clock, Duration> deadline) const {
        const auto now = Clock::now();  // the earliest time point is further from now than can be told
        return deadline <= now ? try_lock() : try_lock_for(deadline - now);
    }

    /// For the owner: whether the one before died while it had the lock, so that what the lock guards may be changed
    /// half. Until the release, which says that it is mended.
    bool owner_died() const noexcept;
    /// Whether anybody has it now; one who died with it has it until the next acquires it.
    bool locked() const noexcept;
    /// Whether the calling thread has it.
    bool is_owned() const noexcept;
    /// How often the calling thread has it.
    std::size_t recursion_count() const noexcept;

protected:
    /// A new lock, with `extra` bytes, zero, beside it. Throws `std::system_error`.
    recoverable_lock(page_kind kind, const char* purpose, std::size_t extra = 0);
    template <class Archive>
    void serialize_as(Archive& archive, page_kind kind, std::size_t extra = 0) {
        page_.serialize(archive, kind, size_of_lock + extra);
    }
    std::byte* beside() const noexcept { return page_.segment().data() + size_of_lock; }
    std::size_t size_beside() const noexcept { return page_.segment().size() - size_of_lock; }

    static constexpr std::size_t size_of_lock = 128;

private:
    friend class condition;
    struct contents;

    bool acquire_until(std::chrono::steady_clock::time_point deadline, bool may_throw) const;
    void take(std::size_t count, bool is_recovered) const;
    /// Frees it altogether and returns how often it was held; `take_back` is the way back.
    std::size_t give_up() const;
    void take_back(std::size_t count) const;

    shared_page page_;
};

}  // namespace tercet::multiprocessing
