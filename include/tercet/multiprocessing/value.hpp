#pragma once

#include <tercet/multiprocessing/rlock.hpp>
#include <tercet/multiprocessing/shared_array.hpp>

#include <cstring>
#include <mutex>
#include <new>
#include <type_traits>
#include <utility>

namespace tercet::multiprocessing {

/// One value that processes share, with a lock: Python's `multiprocessing.Value`. A handle: copies are the same value,
/// also one that was sent to a worker. Any thread.
///
///     value<int> counter;
///     pool.submit([](value<int> counter) { counter.update([](int& n) { ++n; }); }, counter);
template <class T>
    requires shareable_value<T>
class value {
public:
    value() requires std::is_default_constructible_v<T> : value(T()) {}
    /// Throws `std::system_error` when there is no descriptor or memory for it.
    explicit value(const T& initial) { new (lock_.start()) T(initial); }

    /// Reads or writes it under its lock.
    T get() const {
        const std::lock_guard guard(lock_);
        return get_obj();
    }
    void set(const T& next) const {
        const std::lock_guard guard(lock_);
        get_obj() = next;
    }
    /// Calls `fn` with the value under its lock, and returns what that returns.
    template <class Fn>
    decltype(auto) update(Fn&& fn) const {
        const std::lock_guard guard(lock_);
        return std::forward<Fn>(fn)(get_obj());
    }

    const rlock& get_lock() const noexcept { return lock_; }
    /// The value itself, for who has the lock, or needs none.
    T& get_obj() const noexcept { return *std::launder(reinterpret_cast<T*>(lock_.start())); }

    template <class Archive>
    void serialize(Archive& archive) {
        lock_.serialize_with(archive);
    }

private:
    struct lock_and_value : rlock {
        lock_and_value() : rlock(sizeof(T)) {}
        std::byte* start() const noexcept { return beside(); }
        template <class Archive>
        void serialize_with(Archive& archive) {
            serialize_as(archive, page_kind::rlock, sizeof(T));
        }
    };

    lock_and_value lock_;
};

}  // namespace tercet::multiprocessing
