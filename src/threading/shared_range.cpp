// A thread that has nothing takes a portion from the front of the range, large ones first and small ones at the end
// (Polychronopoulos and Kuck, "Guided self-scheduling", 1987), but no larger than some grains. When the range is used
// up it takes the far half of what another thread has not begun. So expensive items behind cheap ones do not stay with
// the thread that has taken both; all that stays is what it has begun, a grain at most, and less near the end of a
// portion.
//
// A portion has a lock: its owner takes from its front, others from its end. Items lie in one portion, or in front of
// next_, or are begun, and no look misses them on their way:
//   - a portion is filled from the range, and by a theft, with its lock held. Who has seen the range used up finds what
//     was taken from it behind that lock;
//   - a thief holds the lock of its victim until it has filled its own portion and counted the theft. Who comes to the
//     victim after it sees the count, and looks at all of them again.
// So a thread that leaves leaves nothing that it could have begun.
//
// A thief locks its own portion while it holds its victim's. Its own one is empty, so who holds that lock meanwhile
// waits for no other.

#include <tercet/threading/shared_range.hpp>

#include <algorithm>
#include <mutex>
#include <utility>

namespace tercet::threading {

namespace {

constexpr std::size_t most_grains = 32;

}  // namespace

shared_range::shared_range(std::size_t begin, std::size_t end, std::size_t grain, std::size_t least,
                           std::size_t threads)
    : next_(begin),
      end_(std::max(begin, end)),
      grain_(std::max<std::size_t>(1, grain)),
      least_(std::clamp<std::size_t>(least, 1, grain_)),
      threads_(std::max<std::size_t>(1, threads)),
      most_(std::clamp<std::size_t>((end_ - begin) / least_, 1, threads_)),
      portions_(std::make_unique<portion[]>(most_)) {}

shared_range::portion* shared_range::recruit() noexcept {
    std::size_t count = recruited_.load(std::memory_order_relaxed);
    do {
        if (count >= most_ || next_.load(std::memory_order_relaxed) >= end_) return nullptr;
    } while (!recruited_.compare_exchange_weak(count, count + 1, std::memory_order_acq_rel, std::memory_order_relaxed));
    return &portions_[count];
}

bool shared_range::next(portion& mine, piece& todo) noexcept {
    while (!has_failed_.load(std::memory_order_relaxed)) {
        {
            const std::lock_guard guard(mine.changing);
            if (mine.begin != mine.end || claim(mine)) {
                const std::size_t left = mine.end - mine.begin;
                todo.begin = mine.begin;
                mine.begin += std::min(left, std::clamp(left / 2, least_, grain_));
                todo.end = mine.begin;
                return true;
            }
        }
        if (!steal(mine)) return false;
    }
    return false;
}

std::size_t shared_range::next_size(std::size_t left) const noexcept {
    if (grain_ >= left) return left;
    const std::size_t most = grain_ < left / most_grains ? grain_ * most_grains : left;
    return std::clamp(left / (2 * threads_), grain_, most);
}

bool shared_range::claim(portion& mine) noexcept {
    std::size_t at = next_.load(std::memory_order_acquire);
    while (at < end_) {
        const std::size_t to = at + next_size(end_ - at);
        if (!next_.compare_exchange_weak(at, to, std::memory_order_acq_rel, std::memory_order_acquire)) continue;
        mine.begin = at;
        mine.end = to;
        return true;
    }
    return false;
}

bool shared_range::steal(portion& mine) noexcept {
    const auto own = static_cast<std::size_t>(&mine - portions_.get());
    std::size_t thefts = thefts_.load(std::memory_order_acquire);
    for (;;) {
        const std::size_t count = recruited();
        for (std::size_t i = 1; i < count; ++i)
            if (take_from(portions_[(own + i) % count], mine)) return true;
        if (std::exchange(thefts, thefts_.load(std::memory_order_acquire)) == thefts) return false;
    }
}

bool shared_range::take_from(portion& victim, portion& mine) noexcept {
    const std::lock_guard theirs(victim.changing);
    const std::size_t left = victim.end - victim.begin;
    if (left == 0) return false;
    const std::size_t taken = left < 2 * least_ ? left : left / 2;
    {
        const std::lock_guard own(mine.changing);
        mine.begin = victim.end - taken;
        mine.end = victim.end;
    }
    victim.end -= taken;
    thefts_.fetch_add(1, std::memory_order_release);
    return true;
}

void shared_range::fail(std::exception_ptr error) noexcept {
    if (!has_failed_.exchange(true, std::memory_order_relaxed)) error_ = std::move(error);
    next_.store(end_, std::memory_order_relaxed);
}

}  // namespace tercet::threading
