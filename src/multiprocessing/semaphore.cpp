// The word is the number of free permits, and a mark that somebody may sleep. A waiter that finds none sets the mark
// and sleeps while the word is the mark alone. Only the step from "the mark alone" to some permits finds sleepers, and
// wakes all of them in the same step of the kernel; so a killed waiter or releaser leaves nobody asleep beside a free
// permit. Who then takes a permit clears the mark, and who finds none sets it again. Waking one instead of all would
// lose the wake-up of one that is killed before it looks.
//
// Releases are serialised: what was free when it was compared with the bound cannot have become more.

#include <tercet/multiprocessing/semaphore.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <stdexcept>

#include "robust_mutex.hpp"
#include "shared_futex.hpp"

namespace tercet::multiprocessing {

namespace {

constexpr std::uint32_t sleeper_mark = 0x8000'0000;
constexpr std::uint32_t permits_of(std::uint32_t word) { return word & ~sleeper_mark; }

}  // namespace

struct semaphore::contents {
    page_kind kind;
    std::atomic<std::uint32_t> word;
    std::uint32_t most;
    robust_mutex releasing;
};

semaphore::semaphore(std::ptrdiff_t value, std::ptrdiff_t most) {
    static_assert(sizeof(contents) <= size_of_page);
    if (value < 0 || value > most_permits)
        throw std::invalid_argument(
            fmt::format("semaphore: {} permits to begin with; give 0 to {}", value, most_permits));
    page_ = shared_page(page_kind::semaphore, "tercet-semaphore", size_of_page);
    auto& here = page_.as<contents>();
    here.word.store(static_cast<std::uint32_t>(value), std::memory_order_relaxed);
    here.most = static_cast<std::uint32_t>(most);
    here.releasing.initialise();
}

bool semaphore::acquire(time_limit limit) const {
    auto& word = page_.as<contents>().word;
    const auto deadline = limit.deadline();
    std::uint32_t seen = word.load(std::memory_order_relaxed);
    for (;;) {
        if (permits_of(seen) != 0) {
            if (word.compare_exchange_weak(seen, permits_of(seen) - 1, std::memory_order_acquire)) return true;
            continue;
        }
        if (const auto duration = limit.duration(); duration && duration->count() == 0) return false;
        if (seen == 0 && !word.compare_exchange_weak(seen, sleeper_mark, std::memory_order_relaxed)) continue;
        const bool is_late = !futex_wait(word, sleeper_mark, deadline, futex_scope::shared);
        seen = word.load(std::memory_order_relaxed);
        if (is_late && permits_of(seen) == 0) return false;
    }
}

void semaphore::release(std::ptrdiff_t count) const {
    auto& here = page_.as<contents>();
    const auto most = static_cast<std::ptrdiff_t>(here.most);
    if (count < 1)
        throw std::invalid_argument(fmt::format("semaphore: release of {} permits; give one or more", count));
    here.releasing.lock();
    std::uint32_t seen = here.word.load(std::memory_order_relaxed);
    if (const auto free = static_cast<std::ptrdiff_t>(permits_of(seen)); count > most - free) {
        here.releasing.unlock();
        throw std::invalid_argument(
            fmt::format("semaphore: release of {} permits with {} free would make more than {}; something is released "
                        "that was never acquired",
                        count, free, most));
    }
    for (auto left = static_cast<std::uint32_t>(count); left != 0;) {
        if (seen == sleeper_mark) {
            const std::uint32_t part = std::min(left, most_to_add);
            add_and_wake_all(here.word, part);
            left -= part;
            seen = here.word.load(std::memory_order_relaxed);
        } else if (here.word.compare_exchange_weak(seen, seen + left, std::memory_order_release,
                                                   std::memory_order_relaxed)) {
            left = 0;
        }
    }
    here.releasing.unlock();
}

std::ptrdiff_t semaphore::value() const noexcept {
    return permits_of(page_.as<contents>().word.load(std::memory_order_relaxed));
}

}  // namespace tercet::multiprocessing
