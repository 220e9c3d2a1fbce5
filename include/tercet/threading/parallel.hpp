#pragma once

#include <tercet/futures/blocking_ban.hpp>
#include <tercet/threading/quick_lock.hpp>
#include <tercet/threading/shared_range.hpp>
#include <tercet/threading/thread_pool_executor.hpp>

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <exception>
#include <functional>
#include <iterator>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace tercet::threading {

/// See `parallel_for` and `parallel_reduce`.
struct parallel_options {
    /// How many items are done in one piece at least; 0: as many as 2 us allow, measured on the first ones, which the
    /// caller does before others join in. Where items wait for something, 1 lets them wait side by side from the start.
    std::size_t grain = 0;
};

namespace detail {

/// The values of parts of a range. Where two lie side by side, whoever adds the second joins them, so there are never
/// many. Any thread.
template <class T, class Join>
class joined_parts {
public:
    struct part {
        std::size_t from;
        std::size_t to;
        T value;
    };

    explicit joined_parts(Join& join) noexcept : join_(join) {}

    /// Throws what `join` throws, and `std::bad_alloc`.
    void add(part added) {
        for (;;) {
            std::optional<part> before;
            std::optional<part> after;
            {
                const std::lock_guard guard(adding_);
                auto place = std::ranges::lower_bound(parts_, added.from, {}, &part::from);
                if (place != parts_.end() && place->from == added.to) {
                    after.emplace(std::move(*place));
                    place = parts_.erase(place);
                }
                if (place != parts_.begin() && std::prev(place)->to == added.from) {
                    before.emplace(std::move(*std::prev(place)));
                    parts_.erase(std::prev(place));
                }
                if (!before && !after) {
                    parts_.insert(place, std::move(added));
                    return;
                }
            }
            if (before)
                added = {before->from, added.to, std::invoke(join_, std::move(before->value), std::move(added.value))};
            if (after)
                added = {added.from, after->to, std::invoke(join_, std::move(added.value), std::move(after->value))};
        }
    }

    /// When all is there: the value of the whole; null: it is empty.
    T* whole() noexcept { return parts_.empty() ? nullptr : &parts_.front().value; }

private:
    Join& join_;
    quick_lock adding_;
    std::vector<part> parts_;  // in their order
};

}  // namespace detail

/// Lets the threads of a pool, and the caller, work on one range. For `parallel_for` and `parallel_reduce`.
class parallel_team {
public:
    /// Throws what `submit` throws about the pool, and `invalid_state_error` on the thread of an event loop.
    parallel_team(thread_pool_executor& pool, const char* call);
    parallel_team(const parallel_team&) = delete;
    parallel_team& operator=(const parallel_team&) = delete;

    /// The range that is left when the grain has been found, by doing the first items, where none is given.
    template <class Do>
    shared_range make_range(std::size_t begin, std::size_t end, parallel_options options, Do& do_items) {
        const std::size_t given = options.grain;
        const std::size_t grain = given != 0 ? given : measure_grain(begin, end, do_items);
        return shared_range(begin, end, grain, given != 0 ? given : grain / 16, pool_.max_workers());
    }

    /// Calls `take_part(portion)` on the calling thread and on as many others as are of use for `range` and have time;
    /// returns when all that began have ended. It must not throw.
    template <class TakePart>
    void share(shared_range& range, TakePart& take_part) {
        recruit(range, range[0], take_part);
        finish(range);
    }

private:
    /// What was offered to other threads and may be taken back.
    struct offer_type {
        shared_range::portion* theirs = nullptr;
        job* work = nullptr;  // null: nobody is to be had
    };

    static constexpr std::chrono::nanoseconds long_enough{2'000};

    /// Doubles how many items are done until they take long enough. Moves `begin` to where it stopped.
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

    /// Takes part, after it has woken two others, who wake two others each, so all are there soon. Does not wait for
    /// them: that is up to the caller, so nobody else begins a call of the pool before he is through with this one.
    template <class TakePart>
    void recruit(shared_range& range, shared_range::portion& mine, TakePart& take_part) noexcept {
        const offer_type first = offer(range, take_part);
        const offer_type second = offer(range, take_part);
        take_part(mine);
        take_back(second);
        take_back(first);
    }
    template <class TakePart>
    offer_type offer(shared_range& range, TakePart& take_part) noexcept {
        shared_range::portion* const theirs = range.recruit();
        if (!theirs) return {};
        const auto work = [this, &range, &take_part, theirs] { recruit(range, *theirs, take_part); };
        return {theirs, pool_.offer(work, theirs->helper)};
    }
    /// What nobody has begun will not begin.
    void take_back(const offer_type& offered) noexcept;
    /// Nobody is in the call any more, or will be.
    void finish(shared_range& range) noexcept;

    thread_pool_executor& pool_;
};

/// Calls `body(i)` for every `i` from `begin` up to `end`, in any order, on the calling thread and on those of `pool`
/// that have time, together `max_workers` at most; returns when all are done. When calls throw, the first of their
/// errors is thrown after what had begun has ended; what had not begun is left out, and further errors are dropped. May
/// be called on a thread of the pool, which may do other calls of the pool while it waits for the last items of others;
/// they wait for nobody. An item that waits for a later one waits for ever where no other thread has time. Does not
/// wait for room in a full queue. Throws `executor_shutdown` or `broken_thread_pool` where the pool takes no calls;
/// when it breaks later, the caller does all. Throws `invalid_state_error` on the thread of an event loop, and on that
/// of another pool whose stack is nearly used up.
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
    auto range = team.make_range(begin, end, options, do_items);
    auto take_part = [&](shared_range::portion& mine) noexcept { range.do_pieces(mine, do_items); };
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
        auto do_first = [&](std::size_t from, std::size_t to) { first = join(std::move(first), reduce(from, to)); };
        auto range = team.make_range(begin, end, options, do_first);

        using parts_type = detail::joined_parts<T, Join>;
        parts_type parts(join);
        auto take_part = [&](shared_range::portion& portion) noexcept {
            std::optional<typename parts_type::part> mine;
            auto do_items = [&](std::size_t from, std::size_t to) {
                if (mine && mine->to == from) {
                    mine->value = join(std::move(mine->value), reduce(from, to));
                    mine->to = to;
                    return;
                }
                if (mine) parts.add(std::move(*mine));
                mine.reset();
                mine.emplace(typename parts_type::part{from, to, reduce(from, to)});
            };
            range.do_pieces(portion, do_items);
            try {
                if (mine) parts.add(std::move(*mine));
            } catch (...) {
                range.fail(std::current_exception());
            }
        };
        team.share(range, take_part);
        range.rethrow_failure();
        if (T* const whole = parts.whole()) first = join(std::move(first), std::move(*whole));
        return first;
    }

}  // namespace tercet::threading
