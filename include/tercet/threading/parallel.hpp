#pragma once

#include <tercet/futures/blocking_ban.hpp>
#include <tercet/threading/quick_lock.hpp>
#include <tercet/threading/thread_pool_executor.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace tercet::threading {

struct parallel_options {
    /// How many items are done in one piece at least; 0: as many as 2 us allow, measured on the first ones, which the
    /// caller does before others join in. Where items wait for something, 1 lets them wait side by side from the start.
    std::size_t grain = 0;
};

namespace detail {

/// What the threads of a parallel call share: the range, of which each takes a piece when it has done the one before,
/// large ones first and small ones at the end (Polychronopoulos and Kuck, "Guided self-scheduling", 1987), and the
/// first error. Pieces are no longer than some grains: where the first items are the expensive ones, one thread would
/// be left with them.
class shared_range {
public:
    shared_range(std::size_t begin, std::size_t end, std::size_t grain, std::size_t threads) noexcept
        : next_(begin), end_(end), grain_(std::max<std::size_t>(1, grain)), threads_(threads) {}
    shared_range(const shared_range&) = delete;
    shared_range& operator=(const shared_range&) = delete;

    std::size_t grain() const noexcept { return grain_; }
    bool is_exhausted() const noexcept { return next_.load(std::memory_order_relaxed) >= end_; }

    /// Does `do_items(from, to)` for the pieces that this thread gets, a grain at a time.
    template <class Do>
    void do_pieces(Do& do_items) noexcept {
        try {
            std::size_t at = next_.load(std::memory_order_relaxed);
            while (at < end_) {
                const std::size_t to = at + next_size(end_ - at);
                if (!next_.compare_exchange_weak(at, to, std::memory_order_relaxed)) continue;
                while (at < to && !has_failed_.load(std::memory_order_relaxed)) {
                    const std::size_t stop = at + std::min(grain_, to - at);
                    do_items(at, stop);
                    at = stop;
                }
                at = next_.load(std::memory_order_relaxed);
            }
        } catch (...) {
            fail(std::current_exception());
        }
    }

    /// Notes what goes wrong first. Pieces that have not begun by then do not begin, and what goes wrong later is
    /// dropped. Any thread; `error` is seen by whoever joins it.
    void fail(std::exception_ptr error) noexcept {
        if (!has_failed_.exchange(true, std::memory_order_relaxed)) error_ = std::move(error);
        next_.store(end_, std::memory_order_relaxed);
    }
    /// After all threads were joined.
    void rethrow_failure() const {
        if (error_) std::rethrow_exception(error_);
    }

    /// Whether another thread is of use; counts it then.
    bool recruits() noexcept {
        if (is_exhausted() || recruited_.load(std::memory_order_relaxed) >= threads_) return false;
        return recruited_.fetch_add(1, std::memory_order_relaxed) < threads_;
    }

private:
    static constexpr std::size_t most_grains = 32;

    std::size_t next_size(std::size_t left) const noexcept {
        if (grain_ >= left) return left;
        const std::size_t most = grain_ < left / most_grains ? grain_ * most_grains : left;
        return std::clamp(left / (2 * threads_), grain_, most);
    }

    alignas(64) std::atomic<std::size_t> next_;
    alignas(64) std::size_t end_;
    std::size_t grain_;
    std::size_t threads_;
    std::atomic<std::size_t> recruited_{1};  // the caller
    std::atomic<bool> has_failed_{false};
    std::exception_ptr error_;
};

}  // namespace detail

/// Lets the threads of a pool, and the caller, work on one range. For `parallel_for` and `parallel_reduce`.
class parallel_team {
public:
    /// Throws what `submit` throws about the pool, and `invalid_state_error` on the thread of an event loop.
    parallel_team(thread_pool_executor& pool, const char* call);
    parallel_team(const parallel_team&) = delete;
    parallel_team& operator=(const parallel_team&) = delete;

    /// Finds the grain by doing the first items: doubles how many until they take long enough. Moves `begin` to where
    /// it stopped.
    template <class Do>
    static std::size_t measure_grain(std::size_t& begin, std::size_t end, Do& do_items) {
        std::size_t count = 1;
        while (begin < end) {
            const std::size_t stop = begin + std::min(count, end - begin);
            const auto from = time_limit::clock::now();
            do_items(begin, stop);
            const auto took = time_limit::clock::now() - from;
            count = stop - begin;
            begin = stop;
            if (took >= long_enough) break;
            count *= 2;
        }
        return count;
    }

    /// Calls `take_part()` on the calling thread and on as many others as are of use for `range` and have time; returns
    /// when all that began have ended. It must not throw.
    template <class TakePart>
    void share(detail::shared_range& range, TakePart& take_part) {
        if (pool_.is_own_thread()) return recruit(range, take_part);
        auto first = offer(range, take_part);
        auto second = offer(range, take_part);
        take_part();
        finish(second);
        finish(first);
    }

private:
    static constexpr std::chrono::nanoseconds long_enough{2'000};

    /// On a thread of the pool: it and those that it wakes wake two others each, so all are there soon.
    template <class TakePart>
    void recruit(detail::shared_range& range, TakePart& take_part) {
        const auto work = [this, &range, &take_part] { recruit(range, take_part); };
        if (!range.recruits()) return take_part();
        auto first = pool_.fork(work);
        if (!range.recruits()) {
            take_part();
        } else {
            auto second = pool_.fork(work);
            take_part();
            second.join();
        }
        first.join();
    }

    /// From outside. Empty: no other thread is of use, or none is to be had. A pool may have callers run what it has no
    /// room for.
    template <class TakePart>
    future<void> offer(detail::shared_range& range, TakePart& take_part) noexcept {
        if (!range.recruits()) return {};
        return pool_.try_submit(
            [this, &range, &take_part] { pool_.is_own_thread() ? recruit(range, take_part) : take_part(); });
    }
    /// Nobody is in the call any more, or will be.
    static void finish(future<void>& offered) noexcept;

    thread_pool_executor& pool_;
};

/// Calls `body(i)` for every `i` from `begin` up to `end`, in any order, on the calling thread and on those of `pool`
/// that have time, together `max_workers` at most; returns when all are done. When calls throw, the first of their
/// errors is thrown after what had begun has ended; what had not begun is left out, and further errors are dropped. May
/// be called on a thread of the pool. Does not wait for room in a full queue. Throws `executor_shutdown` or
/// `broken_thread_pool` where the pool takes no calls; when it breaks later, the caller does all. Throws
/// `invalid_state_error` on the thread of an event loop, and on that of another pool whose stack is nearly used up.
///
///     parallel_for(pool, 0, pixels.size(), [&](std::size_t i) { pixels[i] = shade(i); });
template <class Body>
    requires std::invocable<Body&, std::size_t>
void parallel_for(thread_pool_executor& pool, std::size_t begin, std::size_t end, Body body,
                  parallel_options options = {}) {
    if (begin >= end) return;
    auto do_items = [&body](std::size_t from, std::size_t to) {
        for (std::size_t i = from; i < to; ++i) body(i);
    };
    parallel_team team(pool, "parallel_for");
    if (options.grain == 0) options.grain = parallel_team::measure_grain(begin, end, do_items);
    detail::shared_range range(begin, end, options.grain, pool.max_workers());
    auto take_part = [&]() noexcept { range.do_pieces(do_items); };
    team.share(range, take_part);
    range.rethrow_failure();
}

/// Joins `item(i)` for every `i` from `begin` up to `end`, with `join`, in their order: `join` must be associative, it
/// need not be commutative. `first` stands in front of all, once.
/// Errors and threads as in `parallel_for`.
///
///     const double sum = parallel_reduce(pool, 0, n, 0.0, [&](std::size_t i) { return x[i] * y[i]; }, std::plus());
template <class T, class Item, class Join>
    requires std::invocable<Item&, std::size_t> T parallel_reduce(thread_pool_executor& pool, std::size_t begin,
                                                                  std::size_t end, T first, Item item, Join join,
                                                                  parallel_options options = {}) {
        if (begin >= end) return first;
        const auto reduce = [&](std::size_t from, std::size_t to) {
            T value = item(from);
            for (std::size_t i = from + 1; i < to; ++i) value = join(std::move(value), item(i));
            return value;
        };
        parallel_team team(pool, "parallel_reduce");
        if (options.grain == 0) {
            auto do_items = [&](std::size_t from, std::size_t to) { first = join(std::move(first), reduce(from, to)); };
            options.grain = parallel_team::measure_grain(begin, end, do_items);
        }

        // What lies side by side is joined by the thread that did it, the rest in the end.
        struct part {
            std::size_t from;
            std::size_t to;
            T value;
        };
        quick_lock adding;
        std::vector<part> parts;
        detail::shared_range range(begin, end, options.grain, pool.max_workers());
        auto take_part = [&]() noexcept {
            std::optional<part> mine;
            const auto add_mine = [&] {
                if (!mine) return;
                const std::lock_guard guard(adding);
                parts.push_back(std::move(*mine));
                mine.reset();
            };
            auto do_items = [&](std::size_t from, std::size_t to) {
                if (mine && mine->to == from) {
                    mine->value = join(std::move(mine->value), reduce(from, to));
                    mine->to = to;
                    return;
                }
                add_mine();
                mine.emplace(part{from, to, reduce(from, to)});
            };
            range.do_pieces(do_items);
            try {
                add_mine();
            } catch (...) {
                range.fail(std::current_exception());
            }
        };
        team.share(range, take_part);
        range.rethrow_failure();
        std::ranges::sort(parts, {}, &part::from);
        for (part& each : parts) first = join(std::move(first), std::move(each.value));
        return first;
    }

}  // namespace tercet::threading
