#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <mutex>
#include <utility>
#include <vector>

namespace tercet::threading {

/// What became of the wish for another thread.
enum class growth { not_needed, started, impossible };

/// Who of a pool's workers sleeps, who searches, and who is woken for a job. The rules stand in pool_core.cpp, "Sleep".
///
/// `Parts` gives `atomic<T>`, `mutex` and `parker`; `Pool` answers: `has_work()` anywhere; `may_start()`, more threads
/// are allowed; `may_grow()`, and the system has them; `has_free()`: a worker is about to look for work;
/// `start_thread_if_needed()` and, when all is looked through and a worker is to become idle, `may_leave()`, both with
/// the mutex held.
template <class Pool, class Parts>
class basic_sleepers {
public:
    using mutex_type = typename Parts::mutex;
    using parker_type = typename Parts::parker;

    enum class list { none, idle, helping };

    /// One worker, as this sees it.
    struct sleeper {
        explicit sleeper(parker_type& to_wake) noexcept : parker(to_wake) {}

        parker_type& parker;
        list listed = list::none;   // under the mutex
        bool is_searching = false;  // counted in searching_; the worker's own while it is on no list
    };

    basic_sleepers(Pool& pool, std::size_t most) : pool_(pool) {
        idle_.reserve(most);
        helping_.reserve(most);
    }

    mutex_type& mutex() const noexcept { return mutex_; }

    /// Nobody but threads that wait could come to another job.
    bool is_saturated() const noexcept { return !pool_.may_grow() && !has_idle() && !pool_.has_free(); }

    /// After a job was added: sees to it that somebody comes to it. Returns whom to unpark, or null.
    parker_type* find_taker() noexcept {
        if (has_idle()) return is_searched() ? nullptr : lock_and_choose(list::idle);
        if (pool_.may_start()) {
            const std::lock_guard guard(mutex_);
            if (pool_.start_thread_if_needed() != growth::impossible) return nullptr;
        }
        return !has_helping() || is_searched() || pool_.has_free() ? nullptr : lock_and_choose(list::helping);
    }
    void wake_taker() noexcept {
        if (parker_type* const taker = find_taker()) taker->unpark();
    }

    /// A worker is not free any more: one that waits may have relied on it.
    void note_busy() noexcept {
        if (has_helping() && pool_.has_work()) wake_taker();
    }

    /// False: enough others search.
    bool begin_search(sleeper& self, std::size_t most) noexcept {
        std::size_t searching = searching_.load(std::memory_order_relaxed);
        while (!self.is_searching && searching < most)
            self.is_searching = searching_.compare_exchange_strong(searching, searching + 1, std::memory_order_seq_cst,
                                                                   std::memory_order_relaxed);
        return self.is_searching;
    }
    /// Ends the search of `self`, if it does, and looks whether there is more work than it has found.
    void end_search(sleeper& self) noexcept {
        if (!self.is_searching) return;
        stop_counting(self);
        if (pool_.has_work()) wake_taker();
    }

    /// At the bottom of the stack of `self`: sleeps until there is work. False: it may leave.
    bool sleep(sleeper& self) noexcept {
        std::unique_lock guard(mutex_);
        enlist(self, list::idle);
        if (pool_.has_work()) return search_on(self), true;
        if (pool_.may_leave()) return unlist(self), false;
        guard.unlock();
        self.parker.park(std::chrono::steady_clock::time_point::max());
        guard.lock();
        unlist(self);
        return true;
    }

    /// While a call of `self` waits, after it has found nothing that it may take: sleeps by `park()` until there is
    /// such work, or until it is unparked.
    template <class Park>
    void sleep_waiting(sleeper& self, Park park) noexcept {
        std::unique_lock guard(mutex_);
        enlist(self, list::helping);
        parker_type* instead = nullptr;
        if (pool_.has_work()) {
            // It is not for this thread as long as another one can come to it.
            if (is_saturated()) return search_on(self);
            if (has_idle())
                instead = choose(list::idle);
            else if (!pool_.has_free() && pool_.start_thread_if_needed() == growth::impossible)
                return search_on(self);
        }
        guard.unlock();
        if (instead) instead->unpark();
        park();
        guard.lock();
        unlist(self);
    }

    // With the mutex held.

    /// Takes the one that fell asleep last from a list; null: it is empty. It counts as searching from here on, so that
    /// until it has looked nobody else need be woken. Whoever calls this unparks it.
    parker_type* choose(list from) noexcept {
        auto& all = from == list::idle ? idle_ : helping_;
        if (all.empty()) return nullptr;
        sleeper* const chosen = all.back();
        search_on(*chosen);
        return &chosen->parker;
    }
    void wake_all_idle() noexcept {
        while (parker_type* const each = choose(list::idle)) each->unpark();
    }
    std::size_t idle() const noexcept { return idle_.size(); }

private:
    template <class T>
    using atomic = typename Parts::template atomic<T>;

    bool has_idle() const noexcept { return idle_count_.load(std::memory_order_seq_cst) != 0; }
    bool has_helping() const noexcept { return helping_count_.load(std::memory_order_seq_cst) != 0; }
    bool is_searched() const noexcept { return searching_.load(std::memory_order_seq_cst) != 0; }

    parker_type* lock_and_choose(list from) noexcept {
        const std::lock_guard guard(mutex_);
        return choose(from);
    }
    void stop_counting(sleeper& self) noexcept {
        if (std::exchange(self.is_searching, false)) searching_.fetch_sub(1, std::memory_order_seq_cst);
    }
    /// Takes `self` from its list to look for work. It counts as searching, so that it looks again after it has found
    /// some: there may be more, and who added that may have relied on it.
    void search_on(sleeper& self) noexcept {
        unlist(self);
        self.is_searching = true;
        searching_.fetch_add(1, std::memory_order_seq_cst);
    }
    /// Whoever calls this looks after it whether there is work, and parks if there is none.
    void enlist(sleeper& self, list where) noexcept {
        self.listed = where;
        auto& all = where == list::idle ? idle_ : helping_;
        all.push_back(&self);
        count_of(where).store(all.size(), std::memory_order_seq_cst);
        stop_counting(self);
    }
    void unlist(sleeper& self) noexcept {
        const list where = std::exchange(self.listed, list::none);
        if (where == list::none) return;
        auto& all = where == list::idle ? idle_ : helping_;
        all.erase(std::find(all.begin(), all.end(), &self));
        count_of(where).store(all.size(), std::memory_order_seq_cst);
    }
    atomic<std::size_t>& count_of(list where) noexcept { return where == list::idle ? idle_count_ : helping_count_; }

    Pool& pool_;
    mutable mutex_type mutex_;
    std::vector<sleeper*> idle_;
    std::vector<sleeper*> helping_;
    // Written rarely while the pool is busy.
    alignas(64) atomic<std::size_t> idle_count_{0};
    atomic<std::size_t> helping_count_{0};
    atomic<std::size_t> searching_{0};
};

}  // namespace tercet::threading
