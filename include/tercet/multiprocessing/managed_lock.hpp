#pragma once

#include <tercet/futures/time_limit.hpp>
#include <tercet/multiprocessing/proxy.hpp>

#include <cstddef>
#include <memory>

namespace tercet::multiprocessing {

namespace served {

class lock_state;

/// Belongs to a thread of a client, as which the manager takes whoever calls over one line.
class lock {
public:
    static constexpr bool is_thread_safe = true;

    explicit lock(bool is_recursive);

    bool acquire(wait_time limit);
    /// Without waiting; false also when the caller has it already and it is not recursive.
    bool try_acquire();
    void release();
    bool locked() const;
    /// How often the caller has it.
    std::size_t recursion_count() const;
    bool owner_died() const;

    const std::shared_ptr<lock_state>& shared_state() const noexcept { return state_; }

private:
    std::shared_ptr<lock_state> state_;
};

}  // namespace served

/// What `lock_proxy` and `rlock_proxy` have in common. Belongs to the thread that took it; only that may release it.
/// When the thread ends, or its process dies, the lock is free, and the next owner is told by `owner_died()`. Works
/// with the guards of the standard library. Any thread.
class basic_lock_proxy : public proxy<served::lock> {
public:
    using proxy<served::lock>::proxy;

    /// Waits up to `limit` while another has it. Returns whether it was taken. Throws `invalid_state_error` when the
    /// calling thread has a `lock_proxy` already, and so would wait for itself.
    bool acquire(time_limit limit = {}) const { return call<&served::lock::acquire>(limit.duration()); }
    /// Throws `invalid_state_error` when the calling thread does not have it.
    void release() const { call<&served::lock::release>(); }

    /// For `std::scoped_lock` and the like: `acquire`, `release`.
    void lock() const { acquire(); }
    void unlock() const { release(); }
    /// Without waiting; false also when the calling thread has a `lock_proxy` already.
    bool try_lock() const { return call<&served::lock::try_acquire>(); }

    /// Whether anybody has it now.
    bool locked() const { return call<&served::lock::locked>(); }
    /// Whether, and how often, the calling thread has it.
    bool is_owned() const { return recursion_count() != 0; }
    std::size_t recursion_count() const { return call<&served::lock::recursion_count>(); }
    /// For the owner: whether the one before died while it had the lock, so that what it guards may be changed half.
    /// Until the release, which says that it is mended.
    bool owner_died() const { return call<&served::lock::owner_died>(); }
};

/// Python's `Lock` in a manager.
class lock_proxy : public basic_lock_proxy {
public:
    using basic_lock_proxy::basic_lock_proxy;
};

/// Python's `RLock` in a manager: its owner may take it again, and gives it back as often.
class rlock_proxy : public basic_lock_proxy {
public:
    using basic_lock_proxy::basic_lock_proxy;
};

}  // namespace tercet::multiprocessing
