#pragma once

#include <tercet/futures/future.hpp>
#include <tercet/futures/map_chunk.hpp>
#include <tercet/futures/map_results.hpp>
#include <tercet/futures/submit_options.hpp>
#include <tercet/futures/time_limit.hpp>

#include <concepts>
#include <cstddef>
#include <memory>
#include <ranges>
#include <utility>

namespace tercet {

/// How `shutdown` of an executor ends it.
struct shutdown_options {
    bool wait = true;             ///< return only when the work is done and the workers are gone
    bool cancel_futures = false;  ///< cancel what has not started
    time_limit timeout = {};      ///< how long to wait; then `timeout_error`, which names who still works
};

/// Something that runs calls elsewhere and answers with futures: a pool of threads, a pool of processes. Code written
/// for this concept changes its concurrency model by changing the type of one variable.
template <class E>
concept executor = requires(E pool, int (*fn)(int), submit_options how, shutdown_options options) {
    { pool.submit(fn, 1) } -> std::same_as<future<int>>;
    { pool.submit(how, fn, 1) } -> std::same_as<future<int>>;
    { pool.max_workers() } -> std::convertible_to<std::size_t>;
    pool.shutdown(options);
};

/// Gives an executor with `submit`, `max_workers` and `shutdown` the rest of the interface.
template <class Derived>
class executor_interface {
public:
    /// Calls `fn` with the elements of `ranges`, side by side, as far as the shortest goes, and yields the results in
    /// order:
    ///
    ///     for (auto& page : pool.map(fetch, urls)) ...
    ///
    /// The work begins at once; input is pulled as results are taken, at most `options.buffer_size` ahead, so an
    /// endless range works. Items that take little time are done several at once, one after the other by one worker:
    /// see `map_options::chunk_size`, which is 1 for those who do not want that. A call that throws throws at its
    /// place, and the others go on, those of its chunk too; what fails a chunk as a whole, the death of a process,
    /// fails each item of it. An error of `submit` or of the input stands in the place of a result and is the last one.
    /// Ranges given as lvalues are referred to and must outlive the results. Walking past a result waits for it;
    /// leaving early cancels what has not started.
    template <class Fn, std::ranges::input_range... Ranges>
        requires(sizeof...(Ranges) > 0)
    auto map(map_options options, Fn fn, Ranges&&... ranges) {
        return map_results<Derived, Fn, std::views::all_t<Ranges>...>(
            static_cast<Derived&>(*this), options, std::move(fn), std::views::all(std::forward<Ranges>(ranges))...);
    }
    template <class Fn, std::ranges::input_range... Ranges>
        requires(sizeof...(Ranges) > 0)
    auto map(Fn fn, Ranges&&... ranges) { return map(map_options{}, std::move(fn), std::forward<Ranges>(ranges)...); }

    /// For `map`: calls `fn` with each of the items, in one call. The future has a `chunk_outcome`.
    template <class Fn, class... Args>
    auto submit_chunk(const Fn& fn, const std::shared_ptr<chunk_items<Args...>>& items) {
        return static_cast<Derived&>(*this).submit(chunk_call<Fn, Args...>{fn}, items);
    }

protected:
    executor_interface() noexcept = default;
    ~executor_interface() = default;
};

}  // namespace tercet
