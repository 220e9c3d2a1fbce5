// The life of a pool's threads: start, sleep, leave, shutdown. The rules of sleeping stand in pool_core.cpp.
//
// After shutdown threads leave when all of them are idle and nothing is queued: until then a call that still runs may
// fork, and wants hands. The last one to become idle sees it, under the mutex, and lets all go (is_over_). Nothing can
// be added then: from outside it is refused, and inside nobody runs. Only when the process ends idle threads do not
// wait for the others, for one of those may be the thread that ends it.
//
// Nobody is joined with the mutex held: what a thread still has to destroy may ask the pool something.
//
// In the child of a fork the threads do not exist, and any lock may be held for ever by one of them. So there nothing
// is touched (is_lost), and the core is never destroyed.

#include <fmt/format.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <exception>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "futures/text_of.hpp"
#include "threading/pool_core.hpp"
#include "threading/pool_worker.hpp"

namespace tercet::threading {

std::size_t thread_pool_executor::core::free_workers() const noexcept {
    std::size_t count = 0;
    for_each_worker([&](const pool_worker& each) { count += each.is_busy.load(std::memory_order_seq_cst) ? 0 : 1; });
    return count;
}

growth thread_pool_executor::core::start_thread_if_needed() noexcept {
    if (!may_start()) return growth::impossible;
    const std::size_t free = free_workers();
    const std::size_t queued = fifo_.size() + urgent_count_.load(std::memory_order_seq_cst);
    // A job on a deque may rely on a free one too. One is enough to count: whoever steals it looks again.
    if (queued + (has_any_deque_jobs() ? 1 : 0) <= free) return growth::not_needed;
    try {
        start_thread();
        return growth::started;
    } catch (...) {  // threads that are there will come to it
        cannot_start_.store(true, std::memory_order_relaxed);
        return growth::impossible;
    }
}

void thread_pool_executor::core::start_thread() {
    const std::size_t number = started_.load(std::memory_order_relaxed);
    auto added =
        std::make_unique<pool_worker>(*this, number, fmt::format("{}-{}", options_.thread_name_prefix, number));
    try {
        added->start(shared_from_this());
    } catch (const std::system_error& error) {
        throw std::system_error(error.code(), fmt::format("thread_pool_executor: start thread {}", number));
    }
    // Others look at it only now that it stays; it cannot leave before the mutex is free.
    all_[number] = std::move(added);
    started_.store(number + 1, std::memory_order_release);
    running_.fetch_add(1, std::memory_order_release);
    cannot_start_.store(false, std::memory_order_relaxed);
}

void thread_pool_executor::core::replace_free(pool_worker& self) noexcept {
    const std::lock_guard lock(sleepers_.mutex());
    self.is_busy.store(true, std::memory_order_seq_cst);
    start_thread_if_needed();
}

bool thread_pool_executor::core::may_leave() noexcept {
    end_if_all_are_idle();
    return is_over_.load(std::memory_order_relaxed) || ends_with_process_.load(std::memory_order_relaxed);
}

bool thread_pool_executor::core::initialize(pool_worker& self) {
    try {
        if (!options_.cpus.empty()) {
            cpu_set_t set;
            CPU_ZERO(&set);
            const int cpu = options_.cpus[self.number() % options_.cpus.size()];
            CPU_SET(static_cast<std::size_t>(cpu), &set);
            if (const int error = ::pthread_setaffinity_np(::pthread_self(), sizeof set, &set); error != 0)
                throw std::system_error(error, std::system_category(),
                                        fmt::format("pin thread {} to CPU {}", self.name(), cpu));
        }
        if (options_.initializer) options_.initializer();
        return true;
    } catch (...) {
        const std::string reason = text_of(
            [] { return "thread_pool_executor: the initializer failed: " + describe(std::current_exception()); });
        {
            const std::lock_guard adding(adding_);
            const std::lock_guard lock(sleepers_.mutex());
            if (broken_because_.empty()) broken_because_ = text_of([&reason] { return reason; });
            is_broken_.store(true, std::memory_order_relaxed);
            call_all_blocked();
        }
        fail_queued(self, reason);
        return false;
    }
}

void thread_pool_executor::core::leave() noexcept {
    const std::lock_guard lock(sleepers_.mutex());
    if (running_.fetch_sub(1, std::memory_order_acq_rel) == 1)
        for (end_waiter* each = waiting_for_end_; each; each = each->next) each->to_wake->unpark();
    end_if_all_are_idle();
}

void thread_pool_executor::core::end_if_all_are_idle() noexcept {
    if (!is_shut_down() || sleepers_.idle() != running_.load(std::memory_order_relaxed) || has_work()) return;
    is_over_.store(true, std::memory_order_relaxed);
    sleepers_.wake_all_idle();
}

void thread_pool_executor::core::end_with_process() noexcept {
    {
        const std::lock_guard adding(adding_);
        is_shut_down_.store(true, std::memory_order_release);
        call_all_blocked();
    }
    const std::lock_guard lock(sleepers_.mutex());
    ends_with_process_.store(true, std::memory_order_relaxed);
    sleepers_.wake_all_idle();
}

std::string thread_pool_executor::core::who_still_works() const {
    std::string names;
    for_each_worker([&](const pool_worker& each) {
        if (!each.is_busy.load(std::memory_order_relaxed)) return;
        names += (names.empty() ? "" : ", ") + each.describe();
    });
    return names;
}

void thread_pool_executor::core::shutdown(shutdown_options options) {
    if (is_lost()) return;
    if (options.wait && is_own_thread())
        throw invalid_state_error(
            "thread_pool_executor::shutdown: a thread of the pool would wait for itself; use {.wait = false}");
    const auto deadline = options.timeout.deadline();
    {
        const std::lock_guard adding(adding_);
        is_shut_down_.store(true, std::memory_order_release);
        if (options.cancel_futures) cancels_.store(true, std::memory_order_relaxed);
        call_all_blocked();
    }
    if (options.cancel_futures) discard_queued();
    {
        const std::lock_guard lock(sleepers_.mutex());
        end_if_all_are_idle();
    }
    if (!options.wait) return;
    if (!wait_for_end(deadline))
        throw timeout_error(fmt::format("thread_pool_executor::shutdown: {} of its threads still work: {}", workers(),
                                        who_still_works()));
    for_each_worker([](pool_worker& each) { each.join(); });
}

bool thread_pool_executor::core::wait_for_end(time_point deadline) {
    constexpr auto has_ended = [](void* self) {
        return static_cast<core*>(self)->running_.load(std::memory_order_acquire) == 0;
    };
    helping_thread* const helper = helping_thread::current();
    parker own;
    end_waiter me{helper ? &helper->wake_up() : &own, nullptr};
    {
        const std::lock_guard lock(sleepers_.mutex());
        me.next = std::exchange(waiting_for_end_, &me);
    }
    if (helper)
        helper->wait(has_ended, this, deadline);
    else
        while (!has_ended(this) && own.park(deadline)) {
        }
    const std::lock_guard lock(sleepers_.mutex());
    end_waiter** link = &waiting_for_end_;
    while (*link != &me) link = &(*link)->next;
    *link = me.next;
    return has_ended(this);
}

}  // namespace tercet::threading
