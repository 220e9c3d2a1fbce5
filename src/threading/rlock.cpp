// owner_ is written by the thread that has word_. Others read it only to compare it with themselves, and a thread
// always sees its own last write, so relaxed order is enough: whatever else it finds there, it is not its own number.

#include <tercet/futures/errors.hpp>
#include <tercet/threading/rlock.hpp>
#include <tercet/threading/thread_ident.hpp>

#include <chrono>
#include <utility>

#include "wait_for_owner.hpp"

namespace tercet::threading {

bool rlock::acquire(time_limit limit, std::source_location site) {
    const std::uint64_t self = get_ident();
    if (owner_.load(std::memory_order_relaxed) == self) {
        ++count_;
        return true;
    }
    if (!word_.try_lock() && !wait_for_owner(word_, note_, limit.deadline(), site)) return false;
    take(self, 1, site);
    return true;
}

void rlock::take(std::uint64_t self, std::size_t count, std::source_location site) noexcept {
    owner_.store(self, std::memory_order_relaxed);
    count_ = count;
    note_.acquired(site);
}

void rlock::release() {
    if (!is_owned())
        throw invalid_state_error(locked() ? "rlock: release by a thread that does not own it; only its owner may"
                                           : "rlock: release of a lock that nobody holds; acquire it first");
    if (count_ > 1)
        --count_;
    else
        give_up();
}

bool rlock::is_owned() const noexcept { return owner_.load(std::memory_order_relaxed) == get_ident(); }

std::size_t rlock::give_up() noexcept {
    const std::size_t count = std::exchange(count_, 0);
    note_.released();
    owner_.store(nobody, std::memory_order_relaxed);
    word_.unlock();
    return count;
}

void rlock::take_back(std::size_t count) {
    wait_for_owner(word_, note_, std::chrono::steady_clock::time_point::max(), {});
    take(get_ident(), count, {});
}

void rlock::at_fork_reinit() noexcept {
    note_.released();
    owner_.store(nobody, std::memory_order_relaxed);
    count_ = 0;
    word_.reinit();
}

}  // namespace tercet::threading
