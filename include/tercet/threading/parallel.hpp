#pragma once

#include <tercet/threading/thread_pool_executor.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <exception>
#include <functional>
#include <optional>
#include <utility>

namespace tercet::threading {

struct parallel_options {
    /// How many items are done in one piece at least; 0: as many as 2 us allow, measured on the first ones.
    std::size_t grain = 0;
};

/// How `parallel_for` and `parallel_reduce` share a range among the threads of a pool: a piece is halved when its
/// thread has nothing left that others could take, after Tzannes, Caragea, Barua and Vishkin, "Lazy binary-splitting"
/// (2010). So where all threads are busy, next to nothing is forked.
class range_splitter {
public:
    range_splitter(thread_pool_executor& pool, parallel_options options) noexcept
        : pool_(pool), grain_(options.grain), is_measured_(options.grain != 0) {}

    thread_pool_executor& pool() const noexcept { return pool_; }
    /// Whether the thread that runs has left nothing to others.
    bool should_split() const noexcept { return pool_.has_nothing_to_steal(); }
    std::size_t grain() const noexcept { return grain_; }

    /// Finds the grain, by doing the first items: doubles how many until they take long enough. Returns where it
    /// stopped.
    template <class Do>
    std::size_t measure(std::size_t begin, std::size_t end, Do do_items) {
        if (is_measured_) return begin;
        std::size_t count = 1;
        while (begin < end) {
            const std::size_t stop = begin + std::min(count, end - begin);
            const auto from = time_limit::clock::now();
            do_items(begin, stop);
            const auto took = time_limit::clock::now() - from;
            grain_ = stop - begin;
            begin = stop;
            if (took >= long_enough) break;
            count *= 2;
        }
        return begin;
    }

private:
    static constexpr std::chrono::nanoseconds long_enough{2'000};

    thread_pool_executor& pool_;
    std::size_t grain_;
    bool is_measured_;
};

namespace detail {

/// What goes wrong first in a parallel call. Pieces that have not begun by then do not begin, and what goes wrong later
/// is dropped.
class first_failure {
public:
    bool is_there() const noexcept { return is_there_.load(std::memory_order_relaxed); }
    /// Any thread; `error` is seen by whoever joins it.
    void add(std::exception_ptr error) noexcept {
        if (!is_there_.exchange(true, std::memory_order_relaxed)) error_ = std::move(error);
    }
    void rethrow() const {
        if (error_) std::rethrow_exception(error_);
    }

private:
    std::atomic<bool> is_there_{false};
    std::exception_ptr error_;
};

template <class Do>
void for_piece(const range_splitter& how, first_failure& failure, std::size_t begin, std::size_t end,
               Do& do_items) noexcept {
    try {
        while (begin < end && !failure.is_there()) {
            if (end - begin > how.grain() && how.should_split()) {
                const std::size_t middle = begin + (end - begin) / 2;
                auto right = how.pool().fork(
                    [&how, &failure, middle, end, &do_items] { for_piece(how, failure, middle, end, do_items); });
                for_piece(how, failure, begin, middle, do_items);
                right.join();
                return;
            }
            const std::size_t stop = begin + std::min(how.grain(), end - begin);
            do_items(begin, stop);
            begin = stop;
        }
    } catch (...) {
        failure.add(std::current_exception());
    }
}

/// Joins the items to `value`, or only each other when there is none. Nothing when something went wrong.
template <class T, class Do, class Join>
std::optional<T> reduce_piece(const range_splitter& how, first_failure& failure, std::size_t begin, std::size_t end,
                              std::optional<T> value, Do& do_items, Join& join) noexcept {
    try {
        while (begin < end) {
            if (failure.is_there()) return std::nullopt;
            if (end - begin > how.grain() && how.should_split()) {
                const std::size_t middle = begin + (end - begin) / 2;
                auto right = how.pool().fork([&, middle, end] {
                    return reduce_piece<T>(how, failure, middle, end, std::nullopt, do_items, join);
                });
                std::optional<T> left = reduce_piece<T>(how, failure, begin, middle, std::move(value), do_items, join);
                std::optional<T> rest = right.join();
                if (!left || !rest) return std::nullopt;
                return join(std::move(*left), std::move(*rest));
            }
            const std::size_t stop = begin + std::min(how.grain(), end - begin);
            if (value)
                value.emplace(join(std::move(*value), do_items(begin, stop)));
            else
                value.emplace(do_items(begin, stop));
            begin = stop;
        }
        return value;
    } catch (...) {
        failure.add(std::current_exception());
        return std::nullopt;
    }
}

/// On a thread of the pool, where forks are cheap.
template <class Fn>
auto run_inside(thread_pool_executor& pool, Fn fn) {
    if (pool.is_own_thread()) return fn();
    return pool.submit(std::ref(fn)).result();
}

}  // namespace detail

/// Calls `body(i)` for every `i` from `begin` up to `end`, on the threads of `pool`, in any order, and returns when all
/// are done. When calls throw, the first of their errors is thrown after what had begun has ended; what had not begun
/// is left out, and further errors are dropped. May be called on a thread of the pool. Throws as `submit` does.
///
///     parallel_for(pool, 0, pixels.size(), [&](std::size_t i) { pixels[i] = shade(i); });
template <class Body>
    requires std::invocable<Body&, std::size_t>
void parallel_for(thread_pool_executor& pool, std::size_t begin, std::size_t end, Body body,
                  parallel_options options = {}) {
    if (begin >= end) return;
    detail::run_inside(pool, [&] {
        auto do_items = [&body](std::size_t from, std::size_t to) {
            for (std::size_t i = from; i < to; ++i) body(i);
        };
        range_splitter how(pool, options);
        begin = how.measure(begin, end, do_items);
        detail::first_failure failure;
        detail::for_piece(how, failure, begin, end, do_items);
        failure.rethrow();
    });
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
        return detail::run_inside(pool, [&] {
            auto do_items = [&](std::size_t from, std::size_t to) {
                T value = item(from);
                for (std::size_t i = from + 1; i < to; ++i) value = join(std::move(value), item(i));
                return value;
            };
            range_splitter how(pool, options);
            T value = std::move(first);
            begin = how.measure(begin, end, [&](std::size_t from, std::size_t to) {
                value = join(std::move(value), do_items(from, to));
            });
            detail::first_failure failure;
            std::optional<T> all = detail::reduce_piece<T>(how, failure, begin, end, std::move(value), do_items, join);
            failure.rethrow();
            return std::move(*all);
        });
    }

}  // namespace tercet::threading
