#pragma once

#include <tercet/asyncio/context.hpp>

#include <functional>
#include <type_traits>
#include <utility>

namespace tercet::asyncio {

class event_loop;

/// While a call of `to_thread` runs: which loop it came from.
class loop_of_thread {
public:
    explicit loop_of_thread(event_loop* origin) noexcept;
    loop_of_thread(const loop_of_thread&) = delete;
    loop_of_thread& operator=(const loop_of_thread&) = delete;
    ~loop_of_thread();

    /// Null in other threads.
    static event_loop* origin() noexcept;

private:
    event_loop* before_;
};

/// `fn` as `to_thread` calls it: with the `context_var`s of the task, and with its loop.
template <class Fn>
class thread_body {
public:
    thread_body(Fn fn, event_loop& origin) : fn_(std::move(fn)), context_(context::current()), origin_(&origin) {}

    template <class... Args>
        requires std::is_invocable_v<Fn, Args...> std::invoke_result_t<Fn, Args...>
    operator()(Args&&... args) && {
        const loop_of_thread loop(origin_);
        const context::entered scope(context_);
        return std::invoke(std::move(fn_), std::forward<Args>(args)...);
    }

private:
    Fn fn_;
    context context_;
    event_loop* origin_;
};

}  // namespace tercet::asyncio
