#pragma once

#include <tercet/asyncio/coro.hpp>
#include <tercet/asyncio/event_loop.hpp>
#include <tercet/asyncio/result_slot.hpp>
#include <tercet/asyncio/suspension.hpp>
#include <tercet/asyncio/task_base.hpp>
#include <tercet/asyncio/task_options.hpp>
#include <tercet/asyncio/value_room.hpp>
#include <tercet/futures/errors.hpp>
#include <tercet/futures/future_state.hpp>

#include <cstdint>
#include <functional>
#include <source_location>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace tercet::asyncio {

/// A task with room for its result.
template <class T>
class task_state final : public task_base {
public:
    task_state(event_loop& loop, coro_promise<T>& root, const task_options& options, std::source_location created_at)
        : task_base(loop, root, options, created_at) {}

    ~task_state() override {
        if (is_done() && !error()) value_.destroy();
    }

    /// There, when the task is done without an error.
    value_room<T>& result() noexcept { return value_; }

private:
    std::exception_ptr take_result() noexcept override {
        result_slot<T>& from = static_cast<coro_promise<T>&>(root()).result();
        if (std::exception_ptr error = from.error()) return error;
        try {
            if constexpr (std::is_void_v<T>)
                value_.emplace();
            else
                value_.emplace(from.take());
        } catch (...) {
            return std::current_exception();
        }
        return nullptr;
    }

    [[no_unique_address]] value_room<T> value_;
};

/// The wait for a task.
class task_wait : public suspension, private done_listener {
public:
    bool await_ready() const noexcept { return task_.is_done(); }

protected:
    explicit task_wait(task_base& awaited) noexcept
        : suspension(entry::joins), done_listener(&task_done), task_(awaited) {}
    ~task_wait() = default;

    /// Throws unless there is a value.
    void check();

private:
    bool begin() noexcept override;
    bool abandon() noexcept override;
    void name_awaited(task_search& search) const noexcept override { search.add(task_); }
    static void task_done(done_listener& self) noexcept { static_cast<task_wait&>(self).complete(); }

    task_base& task_;
    const char* refusal_ = nullptr;
};

/// A task, whatever its result. Copies refer to the same task. Dropping the last one does not stop it: the loop owns
/// tasks that run, and an error that is never read is reported when the task goes.
class task_handle {
public:
    task_handle() noexcept = default;
    explicit task_handle(state_pointer<task_base> state) noexcept : state_(std::move(state)) {}

    /// False: it refers to no task, and everything else throws `invalid_state_error`.
    bool valid() const noexcept { return static_cast<bool>(state_); }

    // Any thread.

    /// There is a result, an error, or a cancellation.
    bool done() const { return state().is_done(); }
    /// It ended by a cancellation.
    bool cancelled() const { return state().is_cancelled(); }
    /// Asks the task to end: from now on every wait of it throws `cancelled_error` with `message`. It runs its first
    /// step nevertheless. False: it is done already.
    bool cancel(std::string_view message = {}) const { return state().cancel(message); }

    // The loop's thread.

    /// How many calls of `cancel` have not been taken back.
    std::uint32_t cancelling() const { return state().cancelling(); }
    /// Takes one call of `cancel` back and returns how many are left; at zero the waits of the task throw no more.
    std::uint32_t uncancel() const { return state().uncancel(); }

    /// "task-7", unless it was given one.
    std::string name() const { return state().name(); }
    /// Gives the task a name, for texts; empty: the first one again.
    void set_name(std::string name) const { state().set_name(std::move(name)); }
    /// A copy of the values of its `context_var`s.
    asyncio::context context() const { return state().context(); }

    /// The error of a task that is done; null when it has a result. Throws `cancelled_error`, and `invalid_state_error`
    /// while it is not done.
    std::exception_ptr exception() const;

    /// Calls `callback()` from the loop when the task is done, or in one of the next turns when it is.
    void add_done_callback(std::function<void()> callback) const { state().add_done_callback(std::move(callback)); }

    bool operator==(const task_handle& other) const noexcept { return state_.get() == other.state_.get(); }

    /// Throws `invalid_state_error` when there is none.
    task_base& state() const;

private:
    state_pointer<task_base> state_;
};

/// A coroutine that runs by itself: Python's Task. Await it for its result:
///
///     auto page = create_task(fetch(url), {.name = "front page"});
///     ...
///     auto text = co_await std::move(page);      // or: auto& text = co_await page;
///
/// Awaiting throws what the task threw. Cancel safety: cancelling the one who awaits cancels the task and waits for its
/// end; a result that it has nevertheless is delivered. An awaited rvalue gives the handle away. Handles may be copied
/// and dropped on any thread; everything else is for the loop's, but what `task_handle` has for any.
template <class T = void>
class task : public task_handle {
public:
    using value_type = T;

    task() noexcept = default;
    explicit task(state_pointer<task_state<T>> state) noexcept : task_handle(std::move(state)) {}

    /// The result of a task that is done. Throws what it threw, `cancelled_error` when it was cancelled, and
    /// `invalid_state_error` while it is not done.
    std::add_lvalue_reference_t<T> result() & {
        state().require_done("task::result");
        state().throw_if_failed();
        return typed_state().result().value();
    }
    /// The same, moved out: once. Throws the same.
    T result() && {
        state().require_done("task::result");
        state().throw_if_failed();
        return typed_state().result().take();
    }

    template <bool takes>
    class awaiter final : public task_wait {
    public:
        explicit awaiter(task awaited) : task_wait(awaited.state()), awaited_(std::move(awaited)) {}
        std::conditional_t<takes, T, std::add_lvalue_reference_t<T>> await_resume() {
            check();
            if constexpr (takes)
                return awaited_.typed_state().result().take();
            else
                return awaited_.typed_state().result().value();
        }

    private:
        task awaited_;
    };
    awaiter<false> operator co_await() const& { return awaiter<false>(*this); }
    awaiter<true> operator co_await() && { return awaiter<true>(std::move(*this)); }

    task_state<T>& typed_state() const { return static_cast<task_state<T>&>(state()); }
};

/// Makes `work` a task of `loop`, on its thread. Throws `invalid_state_error` when `work` was moved from.
template <class T>
task<T> create_task_on(event_loop& loop, coro<T> work, task_options options = {},
                       std::source_location where = std::source_location::current()) {
    if (!work.valid()) throw invalid_state_error("create_task: the coroutine was moved from, or is a task already");
    loop.require_open();
    auto* const state = new task_state<T>(loop, work.promise(), options, where);
    static_cast<void>(work.detach());
    task<T> made{state_pointer<task_state<T>>(state)};
    if (options.eager_start) state->begin_now();
    return made;
}

/// Makes `work` a task of the running loop: it begins in one of the next turns, or at once with `eager_start`. Throws
/// `invalid_state_error` outside a loop.
template <class T>
task<T> create_task(coro<T> work, task_options options = {},
                    std::source_location where = std::source_location::current()) {
    return create_task_on(get_running_loop(), std::move(work), options, where);
}

template <class Fn, class... Args>
std::invoke_result_t<Fn&, Args...> keep_alive_and_call(Fn fn, Args... args) {
    auto work = std::invoke(fn, std::move(args)...);
    co_return co_await std::move(work);
}

/// Makes a task of `fn(args...)` and keeps `fn` until it ends: for lambdas with captures, whose coroutines would
/// outlive them otherwise. Throws as `create_task`, and what copying `fn` and `args` throws.
template <class Fn, class... Args>
auto spawn(Fn fn, Args... args) {
    return create_task(keep_alive_and_call(std::move(fn), std::move(args)...));
}

/// The task that runs on this thread; not `valid()` in a callback or outside a loop.
task_handle current_task();

/// The tasks of the running loop that are not done, oldest first. Throws `invalid_state_error` outside a loop.
std::vector<task_handle> all_tasks();

}  // namespace tercet::asyncio
