#pragma once

#include <tercet/asyncio/cancel_scope.hpp>
#include <tercet/asyncio/coro.hpp>
#include <tercet/asyncio/semaphore.hpp>
#include <tercet/asyncio/start_signal.hpp>
#include <tercet/asyncio/suspension.hpp>
#include <tercet/asyncio/task.hpp>
#include <tercet/asyncio/task_base.hpp>
#include <tercet/futures/recycler.hpp>

#include <concepts>
#include <cstddef>
#include <exception>
#include <limits>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace tercet::asyncio {

/// See `task_group`.
struct task_group_options {
    std::string_view name = {};                                   ///< for error texts; copied
    std::size_t limit = std::numeric_limits<std::size_t>::max();  ///< how many children run at once
};

/// Tasks that end together: a scope in the body of a coroutine, opened by `with_task_group`. The first child that fails
/// cancels the others and the code around the group; when all have ended, the group throws one `exception_group` with
/// every error. A child that is cancelled alone is no error. The loop's thread.
class task_group {
public:
    /// Opens the group in the task that runs. Who opens one without `with_task_group` must `join` it, whatever is
    /// thrown meanwhile. Throws `invalid_state_error` outside a task, `std::invalid_argument` when the limit is zero.
    explicit task_group(task_group_options options = {});
    task_group(const task_group&) = delete;
    task_group& operator=(const task_group&) = delete;
    /// Children that are alive may refer to what is destroyed next, so the program ends with `std::terminate`, and the
    /// children are named to the hook for unread errors.
    ~task_group();

    /// Makes `work` a child. Beyond the limit it begins when another has ended, in the order of the calls; one that
    /// still waits for that when the group is cancelled does not begin. Throws `invalid_state_error` when the group has
    /// ended or is cancelled; `work` is destroyed then.
    template <class T>
    task<T> create_task(coro<T> work, task_options options = {},
                        std::source_location where = std::source_location::current()) {
        auto added = new_child("create_task");
        task<T> started = turns_ ? asyncio::create_task(in_turn(*this, std::move(work)), options, where)
                                 : asyncio::create_task(std::move(work), options, where);
        adopt(std::move(added), started.state());
        return started;
    }

    /// The same for `fn(args...)`, and keeps `fn` until it ends: for lambdas with captures.
    template <class Fn, class... Args>
    auto spawn(Fn fn, Args... args) {
        return create_task(keep_alive_and_call(std::move(fn), std::move(args)...));
    }

    /// Makes `fn(status, args...)` a child and waits until it calls `status.started(value)`, a `task_status<T>`:
    ///
    ///     coro<> serve(task_status<int> status, std::string host);
    ///     int port = co_await group.start<int>(serve, host);
    ///
    /// From then on it is a child like others. What it throws before is thrown here only, and the group goes on. Throws
    /// `invalid_state_error` when it ends without that call. Cancel safety: a cancellation goes on to the child, and
    /// the wait lasts until that has ended, or has started all the same.
    template <class T = void, class Fn, class... Args>
    coro<T> start(Fn fn, Args... args) {
        start_signal<T> signal(new start_state<T>);
        auto added = new_child("start");
        added->signal = start_signal<T>(signal);
        auto work = keep_alive_and_call(std::move(fn), task_status<T>(signal), std::move(args)...);
        {
            task<> started =
                turns_ ? asyncio::create_task(in_turn(*this, std::move(work))) : asyncio::create_task(std::move(work));
            signal->set_child(started.state());
            adopt(std::move(added), started.state());
        }
        co_await start_wait(*signal);
        co_return signal->take();
    }

    /// Ends the group without an error: cancels the children and the code around it.
    void cancel(std::string_view message = {}) noexcept;
    /// `cancel` was called.
    bool cancel_called() const noexcept { return is_cancelled_; }

    /// How many children have not ended.
    std::size_t size() const noexcept { return alive_; }

    class [[nodiscard]] join_wait final : public suspension {
    public:
        explicit join_wait(task_group& group) noexcept : suspension(entry::joins), group_(group) {}
        void await_resume() const;

    private:
        friend class task_group;
        bool begin() noexcept override;
        bool abandon() noexcept override;
        void name_awaited(task_search& search) const noexcept override;
        void end() noexcept { complete(); }
        task_group& group_;
        bool is_refused_ = false;
    };
    /// Waits until all children have ended; that is the end of the group. Throws `exception_group`, `cancelled_error`.
    /// Cancel safety: a cancellation goes on to the children, and the wait lasts until they have ended. It is thrown if
    /// any of them was cancelled by it.
    join_wait join() noexcept { return join_wait(*this); }

    /// For `with_task_group`: the code around the group threw `error`.
    void body_failed(const std::exception_ptr& error) noexcept;

private:
    struct child final : done_listener {
        explicit child(task_group& owner) noexcept : done_listener(&ended), group(owner) {}
        static void* operator new(std::size_t size) { return allocate_block(size); }
        static void operator delete(void* block, std::size_t size) noexcept { free_block(block, size); }
        static void ended(done_listener& self) noexcept;

        task_group& group;
        task_base* task = nullptr;
        start_state_pointer signal;  // until it has started
        child* previous = nullptr;
        child* next = nullptr;
    };

    template <class T>
    static coro<T> in_turn(task_group& group, coro<T> work) {
        const auto turn = co_await group.turns_->scoped();
        group.check_turn();
        co_return co_await std::move(work);
    }

    /// A turn that a failed child left: throws `cancelled_error`.
    void check_turn() const;
    std::unique_ptr<child> new_child(const char* call);
    void adopt(std::unique_ptr<child> added, task_base& task) noexcept;
    void note_end(child& ended, task_base& task) noexcept;
    void note_error(const std::exception_ptr& error) noexcept;
    void abort(std::string_view message) noexcept;
    void end();
    std::string title() const;

    std::string name_;
    std::optional<cancel_scope> scope_;  // until the end
    task_base* owner_ = nullptr;
    std::optional<semaphore> turns_;
    child* first_ = nullptr;
    child* last_ = nullptr;
    std::size_t alive_ = 0;
    join_wait* joiner_ = nullptr;
    std::vector<std::exception_ptr> errors_;
    std::exception_ptr fatal_;           // leaves bare
    std::exception_ptr body_cancelled_;  // and not by the group
    bool is_aborting_ = false;
    bool is_cancelled_ = false;  // by `cancel`
    bool was_child_cancelled_ = false;
    bool has_ended_ = false;
};

/// A group of children with results of one type, which it keeps.
template <class T>
class result_group : public task_group {
public:
    using task_group::task_group;

    /// As `task_group::create_task`; the group keeps the task.
    task<T> create_task(coro<T> work, task_options options = {},
                        std::source_location where = std::source_location::current()) {
        tasks_.push_back(task_group::create_task(std::move(work), options, where));
        return tasks_.back();
    }
    /// As `task_group::spawn`; the group keeps the task.
    template <class Fn, class... Args>
    task<T> spawn(Fn fn, Args... args) {
        return create_task(keep_alive_and_call(std::move(fn), std::move(args)...));
    }

    /// What the children returned, in the order in which they were created; moved out. Throws `cancelled_error` when
    /// one was cancelled alone, `invalid_state_error` while one has not ended.
    std::vector<T> results() {
        std::vector<T> all;
        all.reserve(tasks_.size());
        for (task<T>& each : tasks_) all.push_back(std::move(each).result());
        tasks_.clear();
        return all;
    }

private:
    std::vector<task<T>> tasks_;
};

template <class Body, class Group>
using body_value = typename std::invoke_result_t<Body&, Group&>::value_type;

/// What `with_task_group` gives: what the body returns, or the results of the group.
template <class Group, class Body>
struct group_value : std::type_identity<body_value<Body, Group>> {};
template <class T, class Body>
    requires std::is_void_v<body_value<Body, result_group<T>>>
struct group_value<result_group<T>, Body> : std::type_identity<std::vector<T>> {
};

/// Opens a group, awaits the coroutine `body(group)`, joins the group, and gives what `body` returned:
///
///     auto body = [&](task_group& group) -> coro<> {
///         group.create_task(fetch(first));
///         group.create_task(fetch(second));
///     };
///     co_await with_task_group(body);
///
/// `with_task_group<result_group<T>>(body, {.limit = 8})` gives the results of the children when `body` returns
/// nothing. An error of `body` counts as one of a child; an error that is no `std::exception`, and
/// `keyboard_interrupt`, leave bare. Throws `exception_group`, `cancelled_error`. Cancel safety: that of
/// `task_group::join`.
template <std::derived_from<task_group> Group = task_group, class Body>
coro<typename group_value<Group, Body>::type> with_task_group(Body body, task_group_options options = {}) {
    using value = body_value<Body, Group>;
    Group group(options);
    if constexpr (std::is_void_v<value>) {
        try {
            auto work = body(group);
            co_await std::move(work);
        } catch (...) {
            group.body_failed(std::current_exception());
        }
        co_await group.join();
        if constexpr (requires { group.results(); }) co_return group.results();
    } else {
        result_slot<value> result;
        try {
            auto work = body(group);
            value returned = co_await std::move(work);
            result.emplace(std::forward<value>(returned));
        } catch (...) {
            group.body_failed(std::current_exception());
        }
        co_await group.join();
        if (!result.has_value()) throw cancelled_error("task_group: it was cancelled before its body returned a value");
        co_return result.take();
    }
}

}  // namespace tercet::asyncio
