#pragma once

#include <pthread.h>

#include <atomic>

namespace tercet::multiprocessing {

/// The object of a class that a process has one of. The child of a fork, by whomever, makes its own when it needs one;
/// that of the parent, whose mutex may be held by a thread that the child does not have, is left alone. Never
/// destroyed: pools of static objects may outlive any order. Thread-safe.
template <class T>
class one_per_process {
public:
    static T& get() {
        T* there = current_.load(std::memory_order_acquire);
        if (there) return *there;
        T* const fresh = new T;
        if (current_.compare_exchange_strong(there, fresh, std::memory_order_acq_rel)) return *fresh;
        delete fresh;
        return *there;
    }
    /// To be called once, before there are threads.
    static void prepare_for_forks() {
        ::pthread_atfork(nullptr, nullptr, [] { current_.store(nullptr, std::memory_order_relaxed); });
    }
    /// Null: it was not needed yet.
    static T* get_if_any() noexcept { return current_.load(std::memory_order_acquire); }

private:
    static inline std::atomic<T*> current_{nullptr};
};

}  // namespace tercet::multiprocessing
