#pragma once

#include <pthread.h>

#include <chrono>
#include <cstdint>

namespace tercet::multiprocessing {

/// Mutual exclusion among threads of several processes, in memory that they share. The death of the owner, thread or
/// process, frees it. Not recursive; only the owner may release it.
class robust_mutex {
public:
    using clock = std::chrono::steady_clock;

    enum class outcome : std::uint8_t {
        taken,
        recovered,  ///< taken, from an owner that has died
        busy,       ///< not taken by the deadline, or held by the calling thread itself
    };

    /// Makes it usable: once, before anybody else sees it, or where nobody uses it. Throws `std::system_error`.
    void initialise();

    /// Takes it, waiting until `deadline`. Signals do not end the wait. Throws `std::system_error` when its memory
    /// holds something else.
    outcome lock(clock::time_point deadline = clock::time_point::max());
    outcome try_lock();

    /// False: the calling thread does not have it.
    bool unlock() noexcept;

private:
    outcome judge(int error);

    pthread_mutex_t mutex_;
};

}  // namespace tercet::multiprocessing
