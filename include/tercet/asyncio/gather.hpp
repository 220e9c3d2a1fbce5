#pragma once

#include <tercet/asyncio/coro.hpp>
#include <tercet/asyncio/outcome.hpp>
#include <tercet/asyncio/task.hpp>
#include <tercet/asyncio/task_join.hpp>

#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace tercet::asyncio {

/// The type of `return_exceptions`.
struct return_exceptions_t {
    explicit return_exceptions_t() = default;
};
/// First argument of a `gather` that returns how each call ended instead of throwing.
inline constexpr return_exceptions_t return_exceptions{};

/// `T`, or `std::monostate` in the place of `void`.
template <class T>
using gathered = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

template <class T>
gathered<T> take_value(task<T>& done) {
    if constexpr (std::is_void_v<T>)
        return {};
    else
        return std::move(done).result();
}

template <class T>
outcome<T> take_outcome(task<T>& done) {
    if (done.state().error()) {
        done.state().mark_read();
        return done.state().error();
    }
    return take_value(done);
}

template <class... Ts>
void start_all(task_join& join, std::tuple<task<Ts>...>& tasks, coro<Ts>&... calls) noexcept {
    std::apply([&](task<Ts>&... started) { (join.start(std::move(calls), started), ...); }, tasks);
}

template <class T>
std::vector<task<T>> start_all(task_join& join, std::vector<coro<T>>& calls) {
    std::vector<task<T>> tasks(calls.size());
    for (std::size_t i = 0; i < calls.size(); ++i) join.start(std::move(calls[i]), tasks[i]);
    return tasks;
}

/// Runs coroutines side by side, each as a task, and gives their results in order, `std::monostate` for `void`. The
/// first that fails, or is cancelled, cancels the others; when all have ended its error is thrown. Errors of the others
/// that are no cancellations are reported as unread. Cancel safety: a cancellation goes on to all of them and is thrown
/// when they have ended; results that all of them have nevertheless are delivered.
template <class... Ts>
coro<std::tuple<gathered<Ts>...>> gather(coro<Ts>... calls) {
    task_join join(sizeof...(Ts), task_join::policy::first_error_cancels);
    std::tuple<task<Ts>...> tasks;
    start_all(join, tasks, calls...);
    co_await join;
    join.throw_first_error();
    co_return std::apply([](task<Ts>&... done) { return std::tuple<gathered<Ts>...>(take_value(done)...); }, tasks);
}

/// The same for any number of one type.
template <class T>
coro<std::vector<T>> gather(std::vector<coro<T>> calls) {
    task_join join(calls.size(), task_join::policy::first_error_cancels);
    std::vector<task<T>> tasks = start_all(join, calls);
    co_await join;
    join.throw_first_error();
    std::vector<T> results;
    results.reserve(tasks.size());
    for (task<T>& done : tasks) results.push_back(take_value(done));
    co_return results;
}

/// The same for those without results.
inline coro<void> gather(std::vector<coro<void>> calls) {
    task_join join(calls.size(), task_join::policy::first_error_cancels);
    const std::vector<task<void>> tasks = start_all(join, calls);
    co_await join;
    join.throw_first_error();
}

/// The same, but every coroutine runs to its end, and each result is a value or an error.
template <class... Ts>
coro<std::tuple<outcome<Ts>...>> gather(return_exceptions_t, coro<Ts>... calls) {
    task_join join(sizeof...(Ts), task_join::policy::all_run);
    std::tuple<task<Ts>...> tasks;
    start_all(join, tasks, calls...);
    co_await join;
    join.throw_first_error();
    co_return std::apply([](task<Ts>&... done) { return std::tuple<outcome<Ts>...>(take_outcome(done)...); }, tasks);
}

/// The same for any number of one type.
template <class T>
coro<std::vector<outcome<T>>> gather(return_exceptions_t, std::vector<coro<T>> calls) {
    task_join join(calls.size(), task_join::policy::all_run);
    std::vector<task<T>> tasks = start_all(join, calls);
    co_await join;
    join.throw_first_error();
    std::vector<outcome<T>> results;
    results.reserve(tasks.size());
    for (task<T>& done : tasks) results.push_back(take_outcome(done));
    co_return results;
}

}  // namespace tercet::asyncio
