// owner and count are written by who has the mutex. Others read owner only to compare it with their own number, and a
// thread always sees its own last write, so relaxed order is enough.
//
// Who dies with the lock leaves owner and count behind; nobody has that number again, and the next to take the mutex
// writes over them. is_recovered lives from there until the release: who dies before it has mended what the lock guards
// hands the mark on, because the mutex says again that its owner has died.
//
// The mapping is pinned while a thread of this process has the lock: the list by which the kernel finds it goes
// through that memory.

#include <tercet/futures/errors.hpp>
#include <tercet/multiprocessing/recoverable_lock.hpp>

#include <atomic>
#include <string>

#include "robust_mutex.hpp"
#include "thread_identity.hpp"

namespace tercet::multiprocessing {

struct recoverable_lock::contents {
    page_kind kind;
    robust_mutex mutex;
    std::atomic<std::uint64_t> owner;
    std::uint64_t count;
    bool is_recovered;
};

namespace {

const char* name_of(page_kind kind) { return kind == page_kind::rlock ? "rlock" : "lock"; }

}  // namespace

recoverable_lock::recoverable_lock(page_kind kind, const char* purpose, std::size_t extra)
    : page_(kind, purpose, size_of_lock + extra) {
    static_assert(sizeof(contents) <= size_of_lock);
    page_.as<contents>().mutex.initialise();
}

bool recoverable_lock::acquire(time_limit limit) const { return acquire_until(limit.deadline(), true); }

bool recoverable_lock::try_lock() const { return acquire_until({}, false); }

bool recoverable_lock::acquire_until(std::chrono::steady_clock::time_point deadline, bool may_throw) const {
    auto& here = page_.as<contents>();
    if (is_owned()) {
        if (here.kind == page_kind::rlock) {
            ++here.count;
            return true;
        }
        if (!may_throw) return false;
        throw invalid_state_error("lock: acquire by the thread that has it, which would wait for itself for ever");
    }
    auto outcome = here.mutex.try_lock();
    if (outcome == robust_mutex::outcome::busy && deadline != std::chrono::steady_clock::time_point())
        outcome = here.mutex.lock(deadline);
    if (outcome == robust_mutex::outcome::busy) return false;
    take(1, outcome == robust_mutex::outcome::recovered);
    return true;
}

void recoverable_lock::take(std::size_t count, bool is_recovered) const {
    auto& here = page_.as<contents>();
    here.owner.store(thread_identity(), std::memory_order_relaxed);
    here.count = count;
    here.is_recovered = is_recovered;
    page_.segment().pin();
}

void recoverable_lock::release() const {
    if (!is_owned())
        throw invalid_state_error(std::string(name_of(page_.kind())) +
                                  ": release by a thread that does not own it; only its owner may");
    if (auto& count = page_.as<contents>().count; count > 1)
        --count;
    else
        give_up();
}

std::size_t recoverable_lock::give_up() const {
    auto& here = page_.as<contents>();
    const std::size_t count = here.count;
    here.is_recovered = false;
    here.owner.store(0, std::memory_order_relaxed);
    const auto kept = page_.segment().unpin();  // until the mutex is free
    here.mutex.unlock();
    return count;
}

void recoverable_lock::take_back(std::size_t count) const {
    take(count, page_.as<contents>().mutex.lock() == robust_mutex::outcome::recovered);
}

bool recoverable_lock::owner_died() const noexcept { return is_owned() && page_.as<contents>().is_recovered; }

bool recoverable_lock::locked() const noexcept {
    return page_.as<contents>().owner.load(std::memory_order_relaxed) != 0;
}

bool recoverable_lock::is_owned() const noexcept {
    return page_.as<contents>().owner.load(std::memory_order_relaxed) == thread_identity();
}

std::size_t recoverable_lock::recursion_count() const noexcept { return is_owned() ? page_.as<contents>().count : 0; }

}  // namespace tercet::multiprocessing
