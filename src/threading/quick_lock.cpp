// States: 0 free, 1 held, 2 held and somebody sleeps or is about to, 3 held by a thread that has ended.
//
//   lock     0 -> 1; otherwise looks for a while; otherwise any but 3 -> 2, and sleeps while it was not 0
//   unlock   any -> 0, and wakes one when it was 2
//
// Who finds 3 leaves it and gives up. It may be freed like a lock that is held.
//
// Who has slept takes the lock as 2, for it cannot know whether others still sleep: at worst one wake-up too many. Who
// gives up at a deadline leaves 2 behind: again a wake-up too many, never one too few.
//
// The acquire of lock pairs with the release of unlock. unlock touches the lock with one exchange; the wake-up behind
// it uses the address only as a name.
//
// Looking: the owner must write the same cache line to unlock, so each look delays it. The looks are therefore spread
// out, further each time, and there are few of them: together they take about as long as it takes to put a thread to
// sleep. Where there is one CPU the owner cannot run meanwhile, and there are none.

#include <tercet/futures/cpu_relax.hpp>
#include <tercet/futures/futex.hpp>
#include <tercet/futures/usable_cpus.hpp>
#include <tercet/threading/quick_lock.hpp>

#include <limits>

namespace tercet::threading {

namespace {

constexpr int looks = 24;
constexpr int longest_pause = 32;

}  // namespace

bool quick_lock::lock_slowly(std::chrono::steady_clock::time_point deadline) noexcept {
    if (!has_one_cpu()) {
        int pause = 1;
        for (int look = 0; look < looks; ++look) {
            for (int i = 0; i < pause; ++i) cpu_relax();
            const std::uint32_t seen = word_.load(std::memory_order_relaxed);
            if (seen == free && try_lock()) return true;
            pause = pause < longest_pause ? pause * 2 : longest_pause;
        }
    }
    for (bool is_in_time = true;; is_in_time = futex_wait(word_, held_with_sleepers, deadline)) {
        std::uint32_t before = word_.load(std::memory_order_relaxed);
        do {
            if (before == abandoned) return false;
        } while (!word_.compare_exchange_weak(before, held_with_sleepers, std::memory_order_acquire,
                                              std::memory_order_relaxed));
        if (before == free) return true;
        if (!is_in_time) return false;
    }
}

void quick_lock::abandon() noexcept {
    std::uint32_t seen = word_.load(std::memory_order_relaxed);
    while (seen != free && !word_.compare_exchange_weak(seen, abandoned, std::memory_order_relaxed)) {
    }
    futex_wake(word_, std::numeric_limits<int>::max());
}

void quick_lock::wake() noexcept { futex_wake(word_, 1); }

}  // namespace tercet::threading
