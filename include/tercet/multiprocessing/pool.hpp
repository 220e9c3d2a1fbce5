#pragma once

#include <tercet/futures/time_limit.hpp>
#include <tercet/multiprocessing/async_result.hpp>
#include <tercet/multiprocessing/chunked_map.hpp>
#include <tercet/multiprocessing/imap_results.hpp>
#include <tercet/multiprocessing/process_pool_executor.hpp>

#include <algorithm>
#include <atomic>
#include <concepts>
#include <cstddef>
#include <functional>
#include <memory>
#include <ranges>
#include <type_traits>
#include <utility>
#include <vector>

namespace tercet::multiprocessing {

/// Python's `multiprocessing.Pool`, over a `process_pool_executor`, which says how functions and arguments travel, and
/// what the death of a process costs: the call that it made, or the items of its chunk, which fail with `worker_died`.
/// Thread-safe.
///
///     pool workers(4);
///     std::vector<long> sums = workers.map(sum_of_squares, limits);
///     workers.close();
///     workers.join();
///
/// What is not taken before the pool goes is lost: the destructor terminates it, as Python's `with` does. Where a
/// function returns nothing, results are `std::monostate`.
class pool {
    template <class Fn, class... Args>
    using call_result = typename std::decay_t<std::invoke_result_t<std::decay_t<Fn>, sent_t<Args&&>...>>;
    template <class Range>
    using single = detail::single_argument<std::ranges::range_reference_t<Range>>;
    template <class Range>
    using unpacked = detail::unpacked_arguments<std::ranges::range_reference_t<Range>>;
    template <class Fn, class Arguments>
    using results = std::vector<detail::chunk_value<Fn, typename Arguments::items_type>>;

public:
    /// `processes` of them, started when they are needed; 0: one for each CPU that this process may use.
    explicit pool(std::size_t processes = 0) : pool(process_pool_options{.max_workers = processes}) {}
    /// Each process calls `initializer(args...)` before anything else.
    template <class Fn, class... Args>
    pool(std::size_t processes, Fn&& initializer, Args&&... args)
        : pool(process_pool_options{
              .max_workers = processes,
              .initializer = worker_initializer(std::forward<Fn>(initializer), std::forward<Args>(args)...)}) {}
    /// As a `process_pool_executor` with these options.
    explicit pool(process_pool_options options) : executor_(std::move(options)) {}
    pool(const pool&) = delete;
    pool& operator=(const pool&) = delete;
    /// Terminates, and waits until the processes are gone.
    ~pool();

    /// Calls `fn(args...)` in a process and waits for the result. Throws what that throws; `invalid_state_error` when
    /// the pool was closed, as all of the following do, and what `process_pool_executor::submit` throws.
    template <class Fn, class... Args>
    call_result<Fn, Args...> apply(Fn&& fn, Args&&... args) {
        require_open("apply");
        return executor_.submit(std::forward<Fn>(fn), std::forward<Args>(args)...).result();
    }

    /// Begins such a call. Waits only while the queue of the pool is full.
    template <class Fn, class... Args>
    async_result<call_result<Fn, Args...>> apply_async(Fn&& fn, Args&&... args) {
        require_open("apply_async");
        return async_result(executor_.submit(std::forward<Fn>(fn), std::forward<Args>(args)...));
    }
    /// The same, and calls one of the callbacks at its end:
    ///
    ///     workers.apply_async({.callback = [&](int& sum) { total += sum; }}, add, 1, 2);
    template <class Fn, class... Args>
    async_result<call_result<Fn, Args...>> apply_async(result_callbacks<call_result<Fn, Args...>> calls, Fn&& fn,
                                                       Args&&... args) {
        require_open("apply_async");
        return async_result(detail::with_callbacks(executor_.submit(std::forward<Fn>(fn), std::forward<Args>(args)...),
                                                   std::move(calls)));
    }

    /// Calls `fn` with each element of `items`, side by side, and waits for all results, which are in the order of the
    /// input. When calls have thrown, throws what the first of them in that order threw, after all have ended. Each
    /// process is given `chunk_size` items at a time; 0: a quarter of its share.
    template <class Fn, std::ranges::input_range Range>
    auto map(Fn fn, Range&& items, std::size_t chunk_size = 0) {
        return start_map<single<Range>>("map", {}, std::move(fn), std::forward<Range>(items), chunk_size).get();
    }
    /// Begins that; the input is read at once. One callback gets all results, or the error.
    template <class Fn, std::ranges::input_range Range>
    auto map_async(Fn fn, Range&& items, std::size_t chunk_size = 0,
                   result_callbacks<results<Fn, single<Range>>> calls = {}) {
        return start_map<single<Range>>("map_async", std::move(calls), std::move(fn), std::forward<Range>(items),
                                        chunk_size);
    }

    /// As `map`, with tuples or pairs of arguments.
    template <class Fn, std::ranges::input_range Range>
    auto starmap(Fn fn, Range&& items, std::size_t chunk_size = 0) {
        return start_map<unpacked<Range>>("starmap", {}, std::move(fn), std::forward<Range>(items), chunk_size).get();
    }
    /// As `map_async`, with tuples or pairs of arguments.
    template <class Fn, std::ranges::input_range Range>
    auto starmap_async(Fn fn, Range&& items, std::size_t chunk_size = 0,
                       result_callbacks<results<Fn, unpacked<Range>>> calls = {}) {
        return start_map<unpacked<Range>>("starmap_async", std::move(calls), std::move(fn), std::forward<Range>(items),
                                          chunk_size);
    }

    /// The results one after the other, in the order of the input, each as soon as it is there; an error in its place.
    /// Unlike Python's it does not read the whole input at once: see `imap_results`. So what is pulled after `close` is
    /// still done, and `join` is for when all results were taken: what is pulled after it fails.
    template <class Fn, std::ranges::input_range Range>
    auto imap(Fn fn, Range&& items, std::size_t chunk_size = 1) {
        return start_imap<imap_order::of_input>("imap", std::move(fn), std::forward<Range>(items), chunk_size);
    }
    /// The same in the order in which they are ready.
    template <class Fn, std::ranges::input_range Range>
    auto imap_unordered(Fn fn, Range&& items, std::size_t chunk_size = 1) {
        return start_imap<imap_order::as_completed>("imap_unordered", std::move(fn), std::forward<Range>(items),
                                                    chunk_size);
    }

    /// Takes no more calls. What was begun is done.
    void close() noexcept;
    /// Kills the processes at once: running calls fail with `worker_died`, and those that wait with `cancelled_error`.
    void terminate();
    /// Waits until the work is done and the processes are gone. Throws `invalid_state_error` unless the pool was closed
    /// or terminated, `timeout_error` after `limit`.
    void join(time_limit limit = {});

    /// What is behind it: for calls with a time limit, a priority, retries.
    process_pool_executor& executor() noexcept { return executor_; }

private:
    void require_open(const char* call) const;
    std::size_t checked_chunk_size(const char* call, std::size_t chunk_size) const;
    std::size_t chunk_size_for(std::size_t items) const noexcept;

    template <class Arguments, class Fn, class Range>
    async_result<results<Fn, Arguments>> start_map(const char* call, result_callbacks<results<Fn, Arguments>> calls,
                                                   Fn fn, Range&& range, std::size_t chunk_size) {
        require_open(call);
        using items_type = typename Arguments::items_type;
        items_type items;
        if constexpr (std::ranges::sized_range<Range>) items.reserve(std::ranges::size(range));
        for (auto&& each : range) Arguments::add(items, std::forward<decltype(each)>(each));
        if (chunk_size == 0) chunk_size = chunk_size_for(items.size());
        const auto work = std::make_shared<detail::chunked_map<Fn, items_type>>();
        return async_result(
            detail::with_callbacks(work->start(executor_, fn, std::move(items), chunk_size), std::move(calls)));
    }

    template <imap_order Order, class Fn, class Range>
    auto start_imap(const char* call, Fn fn, Range&& range, std::size_t chunk_size) {
        return imap_results<Fn, std::views::all_t<Range>, Order>(executor_, std::move(fn),
                                                                 std::views::all(std::forward<Range>(range)),
                                                                 checked_chunk_size(call, chunk_size));
    }

    process_pool_executor executor_;
    std::atomic<bool> is_closed_{false};
    std::atomic<bool> is_terminated_{false};
};

}  // namespace tercet::multiprocessing
