#pragma once

#include <tercet/futures/time_limit.hpp>
#include <tercet/multiprocessing/connection.hpp>
#include <tercet/multiprocessing/managed_barrier.hpp>
#include <tercet/multiprocessing/managed_condition.hpp>
#include <tercet/multiprocessing/managed_dict.hpp>
#include <tercet/multiprocessing/managed_event.hpp>
#include <tercet/multiprocessing/managed_list.hpp>
#include <tercet/multiprocessing/managed_lock.hpp>
#include <tercet/multiprocessing/managed_namespace.hpp>
#include <tercet/multiprocessing/managed_queue.hpp>
#include <tercet/multiprocessing/managed_semaphore.hpp>
#include <tercet/multiprocessing/managed_value.hpp>
#include <tercet/multiprocessing/process_handle.hpp>
#include <tercet/multiprocessing/proxy.hpp>

#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tercet::multiprocessing {

/// What the process of a `manager` is to be like.
struct manager_options {
    std::string name = "Manager";             ///< of its process
    std::optional<std::string> authkey = {};  ///< nothing: a random one, which only this process and proxies know
    std::chrono::milliseconds start_timeout{30'000};  ///< how long it may take to be ready
};

/// A process that has objects which other processes use through proxies: Python's `multiprocessing.Manager`. Each
/// thread that calls has a thread there, so a call that waits, for an item or a lock, holds up nobody else. A thread,
/// or process, that ends while it has a lock frees it, and the next owner is told by `owner_died()`.
///
///     manager m;
///     list_proxy<int> results = m.list<int>(5, 0);
///     process child([](list_proxy<int> out) { out.set(0, 42); }, results);
///
/// The process ends with this object, with the process that has made it, however that ends, and by `shutdown`; calls
/// then throw `manager_died`. It ignores SIGINT. What is faster where it will do: `multiprocessing::value`, `array`,
/// `queue`, `lock` and the like, which lie in memory that processes share. Any thread may create objects.
class manager {
public:
    /// Starts the process. Throws as `process::start`, and `process_start_error` when it does not answer.
    explicit manager(manager_options options = {});
    manager(manager&&) noexcept;
    manager& operator=(manager&&) noexcept;
    /// Shuts down; kills what is still there after 5 seconds. Not in the child of a fork.
    ~manager();

    /// Makes a `T` there, from values as `T(args...)`. It goes with its last proxy.
    template <class T, class... Args>
    proxy<T> create(const Args&... args) const {
        return proxy<T>(link(), make<T>(args...));
    }

    /// A list of these items.
    template <class T>
    list_proxy<T> list(const std::vector<T>& items = {}) const {
        return list_proxy<T>(link(), make<std::vector<T>>(items));
    }
    /// `count` times `item`.
    template <class T>
    list_proxy<T> list(std::size_t count, const T& item) const {
        return list(std::vector<T>(count, item));
    }
    /// A dict of these items.
    template <class Key, class T>
    dict_proxy<Key, T> dict(const std::map<Key, T>& items = {}) const {
        return dict_proxy<Key, T>(link(), make<std::map<Key, T>>(items));
    }
    /// Python's `Namespace`; the word is taken in C++.
    namespace_proxy namespace_() const { return namespace_proxy(link(), make<served::attributes>()); }
    /// A value that can be read and set.
    template <class T>
    value_proxy<T> value(const T& initial = {}) const {
        return value_proxy<T>(link(), make<served::value<T>>(initial));
    }
    /// Room for `maxsize` items. Throws `std::invalid_argument` for zero.
    template <class T>
    queue_proxy<T> queue(std::size_t maxsize) const {
        return queue_proxy<T>(link(), make<served::queue>(queue_errors::checked_maxsize("manager: queue", maxsize)));
    }
    /// A queue whose bound is memory.
    template <class T>
    queue_proxy<T> unbounded_queue() const {
        return queue_proxy<T>(link(), make<served::queue>(served::queue::unbounded));
    }
    /// Free at first; `rlock` can be taken again by the thread that has it.
    lock_proxy lock() const { return lock_proxy(link(), make<served::lock>(false)); }
    rlock_proxy rlock() const { return rlock_proxy(link(), make<served::lock>(true)); }
    /// Throws `std::invalid_argument` for less than no permits.
    semaphore_proxy semaphore(std::ptrdiff_t permits = 1) const {
        return semaphore_proxy(link(), make<served::semaphore>(permits, false));
    }
    /// The same, and `release` throws `std::invalid_argument` when there would be more permits than at first.
    semaphore_proxy bounded_semaphore(std::ptrdiff_t permits = 1) const {
        return semaphore_proxy(link(), make<served::semaphore>(permits, true));
    }
    /// Not set at first.
    event_proxy event() const { return event_proxy(link(), make<served::event>()); }
    /// With an `rlock` of its own, or with a lock that others may have too.
    condition_proxy condition() const { return condition(rlock()); }
    condition_proxy condition(const basic_lock_proxy& shared) const {
        return condition_proxy(link(), make<served::condition>(shared.reference()), shared);
    }
    /// Throws `std::invalid_argument` for no parties.
    barrier_proxy barrier(std::size_t parties, time_limit limit = {}) const {
        return barrier_proxy(link(), make<served::barrier>(parties, limit.duration()));
    }

    /// Where it listens, for processes of this user that have the key.
    const std::string& address() const;
    /// Its process: pid, whether it is alive, its end. Throws `invalid_state_error` when moved from.
    process_handle process() const;

    /// Ends the process and waits up to `limit` until it is gone; whoever waits in a call gets `manager_died`. Its
    /// objects are destroyed, except those in which a call goes on. Throws `timeout_error`; `invalid_state_error` in
    /// the child of a fork. May be called again.
    void shutdown(time_limit limit = {});

private:
    struct state;

    template <class T, class... Args>
    detail::object_handle make(const Args&... args) const {
        return link()->call(detail::object_maker<T>(), args...);
    }
    /// Throws `invalid_state_error` when moved from.
    const std::shared_ptr<const manager_link>& link() const;
    void end() noexcept;

    std::unique_ptr<state> state_;
};

}  // namespace tercet::multiprocessing
