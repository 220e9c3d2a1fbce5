#pragma once

#include <tercet/futures/time_limit.hpp>
#include <tercet/multiprocessing/managed_lock.hpp>
#include <tercet/multiprocessing/proxy.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <limits>
#include <memory>
#include <utility>

namespace tercet::multiprocessing {

namespace served {

class condition {
public:
    static constexpr bool is_thread_safe = true;

    explicit condition(const detail::object_reference<lock>& shared);
    ~condition();
    condition(const condition&) = delete;
    condition& operator=(const condition&) = delete;

    bool wait(wait_time limit);
    void notify(std::size_t count);

private:
    struct waiter;
    struct state;
    std::unique_ptr<state> state_;
};

}  // namespace served

/// Python's `Condition` in a manager: threads of any processes that have a lock wait here until another one that has it
/// notifies them, first come, first served. Who dies while it waits, or is notified, is passed over. Works with the
/// guards of the standard library. Any thread.
class condition_proxy : public proxy<served::condition> {
public:
    condition_proxy() noexcept = default;
    condition_proxy(std::shared_ptr<const manager_link> link, detail::object_handle object, basic_lock_proxy shared)
        : proxy<served::condition>(std::move(link), std::move(object)), lock_(std::move(shared)) {}

    /// The lock's own methods.
    bool acquire(time_limit limit = {}) const { return lock_.acquire(limit); }
    void release() const { lock_.release(); }
    void lock() const { lock_.lock(); }
    void unlock() const { lock_.unlock(); }
    bool try_lock() const { return lock_.try_lock(); }
    bool owner_died() const { return lock_.owner_died(); }

    /// Frees the lock, however often it is held, waits up to `limit` for a notification, and has the lock again on
    /// return, however long that takes. Returns whether a notification came; there are none without cause. Throws
    /// `invalid_state_error` when the calling thread does not have the lock.
    bool wait(time_limit limit = {}) const { return call<&served::condition::wait>(limit.duration()); }

    /// Waits until `predicate()`, which is called here with the lock held, is true. Returns false when it is still not
    /// true after `limit`. Throws as `wait`, and what `predicate` throws.
    template <class Predicate>
    bool wait_for(Predicate predicate, time_limit limit = {}) const {
        const auto deadline = limit.deadline();
        while (!predicate()) {
            const auto left = std::max<time_limit::clock::duration>(deadline - time_limit::clock::now(), {});
            if (!wait(limit.is_forever() ? limit : time_limit(left))) return static_cast<bool>(predicate());
        }
        return true;
    }

    /// Wakes up to `count` of those who wait, the longest first. Throws `invalid_state_error` when the calling thread
    /// does not have the lock.
    void notify(std::size_t count = 1) const { call<&served::condition::notify>(count); }
    /// Wakes all who wait. Throws the same.
    void notify_all() const { notify(std::numeric_limits<std::size_t>::max()); }

    template <class Archive>
    void serialize(Archive& archive) {
        proxy_base::serialize(archive);
        archive(lock_);
    }

private:
    basic_lock_proxy lock_;
};

}  // namespace tercet::multiprocessing
