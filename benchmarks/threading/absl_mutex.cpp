// Debian builds abseil without NDEBUG, so its mutexes look for deadlocks unless they are told not to; as released they
// do not.

#include <absl/synchronization/mutex.h>

#include "work.hpp"

namespace tercet::benchmarks {

namespace {

struct mutex {
    absl::Mutex inner;

    void lock() ABSL_NO_THREAD_SAFETY_ANALYSIS { inner.Lock(); }
    void unlock() ABSL_NO_THREAD_SAFETY_ANALYSIS { inner.Unlock(); }
};

template <measure run>
double as_released() {
    absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
    return run();
}

const contender here("absl::Mutex", {{"lock", as_released<time_lock<mutex>>},
                                     {"lock_contended", as_released<time_contended_lock<mutex>>}});

}  // namespace

}  // namespace tercet::benchmarks
