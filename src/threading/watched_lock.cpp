// Three bits: held, has_sleepers, watched. The last one is nobody's business but of those who set it and of the owner
// who frees the lock; the others are as in quick_lock, for each value of it.
//
// Why no fence is needed. watch() and the unlock change the same word, so one comes first. If watch() does, try_unlock
// finds a word that is not just `held`, fails, and the owner looks who watches while it still has the lock. If the
// unlock does, watch() reads a value of the release sequence that it heads (every change of the word in between is a
// read-modify-write), so it acquires what the owner did before.
//
// unwatch() is relaxed: it only takes a hint away, and who calls it holds the mutex under which watches are set.

#include <tercet/futures/cpu_relax.hpp>
#include <tercet/futures/futex.hpp>
#include <tercet/futures/usable_cpus.hpp>
#include <tercet/threading/watched_lock.hpp>

namespace tercet::threading {

namespace {

constexpr int looks = 24;
constexpr int longest_pause = 32;

}  // namespace

void watched_lock::lock_slowly() noexcept {
    const bool is_alone = has_one_cpu();
    std::uint32_t as_owner = held;
    int pause = 1;
    for (int look = 0;;) {
        std::uint32_t seen = word_.load(std::memory_order_relaxed);
        if ((seen & held) == 0) {
            if (word_.compare_exchange_weak(seen, seen | as_owner, std::memory_order_acquire,
                                            std::memory_order_relaxed))
                return;
        } else if (!is_alone && look < looks) {
            ++look;
            for (int i = 0; i < pause; ++i) cpu_relax();
            pause = pause < longest_pause ? pause * 2 : longest_pause;
        } else if ((seen & has_sleepers) != 0 ||
                   word_.compare_exchange_weak(seen, seen | has_sleepers, std::memory_order_relaxed)) {
            futex_wait(word_, seen | has_sleepers);
            as_owner = held | has_sleepers;
        }
    }
}

void watched_lock::unlock() noexcept {
    const std::uint32_t before = word_.fetch_and(~(held | has_sleepers), std::memory_order_release);
    if ((before & has_sleepers) != 0) futex_wake(word_, 1);
}

}  // namespace tercet::threading
