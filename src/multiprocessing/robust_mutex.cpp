// The kernel frees what a dying thread holds, by the list that glibc keeps for each thread (robust futexes), and wakes
// who waits. The list goes through the mutexes themselves, so memory that holds a locked one must stay mapped in the
// process of its owner: shared_segment::pin.

#include "robust_mutex.hpp"

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <system_error>

#if defined(__SANITIZE_THREAD__)
#define TERCET_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TERCET_THREAD_SANITIZER 1
#endif
#endif
#ifdef TERCET_THREAD_SANITIZER
#include <sanitizer/tsan_interface.h>
#endif

namespace tercet::multiprocessing {

namespace {

void check(int error, const char* what) {
    if (error != 0) throw std::system_error(error, std::system_category(), what);
}

timespec to_timespec(std::chrono::nanoseconds since_epoch) {
    return {static_cast<time_t>(since_epoch.count() / 1'000'000'000),
            static_cast<long>(since_epoch.count() % 1'000'000'000)};
}

#ifdef TERCET_THREAD_SANITIZER
/// That of g++ 12 does not know pthread_mutex_clocklock, and none knows a recovery by a lock with a time limit.
int lock_until(pthread_mutex_t& mutex, robust_mutex::clock::time_point deadline) {
    const auto left = std::max(deadline - robust_mutex::clock::now(), robust_mutex::clock::duration());
    const timespec until = to_timespec((std::chrono::system_clock::now() + left).time_since_epoch());
    const int error = ::pthread_mutex_timedlock(&mutex, &until);
    if (error == EOWNERDEAD) {
        __tsan_mutex_pre_lock(&mutex, __tsan_mutex_try_lock);
        __tsan_mutex_post_lock(&mutex, __tsan_mutex_try_lock, 0);
    }
    return error;
}
#else
int lock_until(pthread_mutex_t& mutex, robust_mutex::clock::time_point deadline) {
    const timespec until = to_timespec(deadline.time_since_epoch());
    return ::pthread_mutex_clocklock(&mutex, CLOCK_MONOTONIC, &until);
}
#endif

}  // namespace

void robust_mutex::initialise() {
    pthread_mutexattr_t attributes;
    check(::pthread_mutexattr_init(&attributes), "pthread_mutexattr_init");
    ::pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    ::pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    ::pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
    const int error = ::pthread_mutex_init(&mutex_, &attributes);
    ::pthread_mutexattr_destroy(&attributes);
    check(error, "pthread_mutex_init");
}

robust_mutex::outcome robust_mutex::lock(clock::time_point deadline) {
    if (deadline == clock::time_point::max()) return judge(::pthread_mutex_lock(&mutex_));
    return judge(lock_until(mutex_, deadline));
}

robust_mutex::outcome robust_mutex::try_lock() { return judge(::pthread_mutex_trylock(&mutex_)); }

robust_mutex::outcome robust_mutex::judge(int error) {
    switch (error) {
        case 0:
            return outcome::taken;
        case EOWNERDEAD:
            ::pthread_mutex_consistent(&mutex_);
            return outcome::recovered;
        case EBUSY:
        case ETIMEDOUT:
        case EDEADLK:
            return outcome::busy;
        default:
            throw std::system_error(error, std::system_category(), "lock of a mutex in shared memory");
    }
}

bool robust_mutex::unlock() noexcept { return ::pthread_mutex_unlock(&mutex_) == 0; }

}  // namespace tercet::multiprocessing
