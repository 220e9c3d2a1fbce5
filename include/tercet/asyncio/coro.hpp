#pragma once

#include <tercet/asyncio/ready_queue.hpp>
#include <tercet/asyncio/result_slot.hpp>
#include <tercet/asyncio/suspension.hpp>
#include <tercet/futures/future.hpp>
#include <tercet/futures/recycler.hpp>

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <source_location>
#include <type_traits>
#include <utility>

#ifndef TERCET_SYMMETRIC_TRANSFER
#error "link to the target tercet::asyncio: it says how this build hands over between coroutines"
#endif

namespace tercet::asyncio {

class event_loop;
class task_base;
template <class T>
class [[nodiscard]] coro;
[[noreturn]] void throw_not_awaitable();
template <class Future>
class loop_future_awaiter;

/// Stands for an awaiter that cannot be moved: g++ 12 would copy one that `await_transform` returns by reference. A
/// temporary awaiter lives until the await is over.
template <class Awaiter>
struct awaiter_reference {
    Awaiter& awaiter;

    bool await_ready() const { return awaiter.await_ready(); }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> waiter) const {
        return awaiter.await_suspend(waiter);
    }
    decltype(auto) await_resume() const { return awaiter.await_resume(); }
};

/// What the coroutines of a loop have in common: a place in the ready queue, the task they belong to, who awaits them
/// and at which line they wait themselves.
class promise_base : public ready_node {
public:
    promise_base(const promise_base&) = delete;
    promise_base& operator=(const promise_base&) = delete;

    static void* operator new(std::size_t size) { return allocate_block(size); }
    static void operator delete(void* frame, std::size_t size) noexcept { free_block(frame, size); }

    std::suspend_always initial_suspend() const noexcept { return {}; }

    struct final_awaiter {
        bool await_ready() const noexcept { return false; }
        void await_resume() const noexcept {}
#if TERCET_SYMMETRIC_TRANSFER
        template <class Promise>
        std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> ended) const noexcept {
            promise_base& promise = ended.promise();
            if (promise.awaiter_) return promise.awaiter_->handle();
            promise.end_task();
            return std::noop_coroutine();
        }
#else
        template <class Promise>
        void await_suspend(std::coroutine_handle<Promise> ended) const noexcept {
            promise_base& promise = ended.promise();
            if (promise.awaiter_)
                promise.awaiter_->resume_next();
            else
                promise.end_task();
        }
#endif
    };
    final_awaiter final_suspend() const noexcept { return {}; }

    // What may be awaited: other coroutines, once, as rvalues; the awaiters of this module, and what has one.
    template <class U>
    auto await_transform(coro<U>&& child, std::source_location where = std::source_location::current()) {
        where_ = where;
        return std::move(child).operator co_await();
    }
    template <class U>
    void await_transform(coro<U>& child) = delete;  // a coroutine is awaited once: co_await std::move(child)

    template <class Awaiter>
        requires std::derived_from<std::remove_reference_t<Awaiter>, suspension>
    auto await_transform(Awaiter&& awaiter, std::source_location where = std::source_location::current()) noexcept {
        where_ = where;
        return awaiter_reference<std::remove_reference_t<Awaiter>>{awaiter};
    }
    template <class Awaitable>
        requires requires(Awaitable&& awaited) {
            { std::forward<Awaitable>(awaited).operator co_await() } -> std::derived_from<suspension>;
        }
    auto await_transform(Awaitable&& awaited, std::source_location where = std::source_location::current()) {
        where_ = where;
        return std::forward<Awaitable>(awaited).operator co_await();
    }

    /// A future that somebody else finishes: the coroutine resumes on its own loop.
    template <class U>
    auto await_transform(future<U>& awaited, std::source_location where = std::source_location::current()) {
        where_ = where;
        return loop_future_awaiter<future<U>&>(awaited);
    }
    template <class U>
    auto await_transform(future<U>&& awaited, std::source_location where = std::source_location::current()) {
        where_ = where;
        return loop_future_awaiter<future<U>>(std::move(awaited));
    }

    template <class U>
    auto await_transform(const shared_future<U>& awaited,
                         std::source_location where = std::source_location::current()) {
        where_ = where;
        return loop_future_awaiter<const shared_future<U>&>(awaited);
    }
    template <class U>
    auto await_transform(shared_future<U>&& awaited, std::source_location where = std::source_location::current()) {
        where_ = where;
        return loop_future_awaiter<shared_future<U>>(std::move(awaited));
    }

    /// The coroutine that stands in a ready queue as `node`; null: something else does.
    static promise_base* of(ready_node& node) noexcept {
        return node.go == &resume ? static_cast<promise_base*>(&node) : nullptr;
    }
    /// The task in which the coroutine runs; null before it is awaited or made a task.
    task_base* task() const noexcept { return task_; }
    /// Who awaits this coroutine; null for the outermost of a task.
    promise_base* awaiter() const noexcept { return awaiter_; }
    /// The line of the await at which the coroutine stands, or stood last.
    const std::source_location& where() const noexcept { return where_; }
    /// A promise stands at the same place in the frame of every coroutine, and this at its beginning.
    std::coroutine_handle<> handle() noexcept { return std::coroutine_handle<promise_base>::from_promise(*this); }

protected:
    promise_base() noexcept : ready_node(&resume) {}
    ~promise_base() = default;

private:
    template <class T>
    friend class coro;
    friend class event_loop;
    friend class task_base;

    static void resume(ready_node& self, reason why) noexcept;
    /// Without symmetric transfer: the loop resumes this coroutine as soon as the present one has returned to it.
    void resume_next() noexcept;
    /// The outermost coroutine of a task has ended.
    void end_task() noexcept;

    promise_base* awaiter_ = nullptr;
    task_base* task_ = nullptr;
    std::source_location where_;
};

template <class T>
class coro_promise_result : public promise_base {
public:
    template <class U = T>
        requires std::convertible_to<U&&, T>
    void return_value(U&& value) { result_.emplace(std::forward<U>(value)); }

protected:
    result_slot<T> result_;
};

template <>
class coro_promise_result<void> : public promise_base {
public:
    void return_void() noexcept { result_.emplace(); }

protected:
    result_slot<void> result_;
};

template <class T>
class coro_promise final : public coro_promise_result<T> {
public:
    coro<T> get_return_object() noexcept;
    void unhandled_exception() noexcept { this->result_.fail(std::current_exception()); }
    result_slot<T>& result() noexcept { return this->result_; }
};

/// A coroutine, as calling a coroutine function returns it. Lazy: it begins when it is awaited, or made a task with
/// `create_task`, once. Dropped before, it never runs. It stays on the loop on which it began.
///
/// Arguments taken by reference, and the captures of a lambda, must outlive the coroutine: it keeps no copy of them.
template <class T = void>
class [[nodiscard]] coro {
public:
    using value_type = T;
    using promise_type = coro_promise<T>;

    coro() noexcept = default;
    coro(coro&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
    coro& operator=(coro&& other) noexcept {
        coro old(std::move(*this));
        frame_ = std::exchange(other.frame_, nullptr);
        return *this;
    }
    ~coro() {
        if (frame_) frame_.destroy();
    }

    /// False when it was moved from, or made a task.
    bool valid() const noexcept { return static_cast<bool>(frame_); }

    class awaiter {
    public:
        explicit awaiter(std::coroutine_handle<promise_type> frame) noexcept : frame_(frame) {}
        bool await_ready() const noexcept { return false; }
#if TERCET_SYMMETRIC_TRANSFER
        template <std::derived_from<promise_base> Promise>
        std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> parent) const noexcept {
            join(parent.promise());
            return frame_;
        }
#else
        template <std::derived_from<promise_base> Promise>
        void await_suspend(std::coroutine_handle<Promise> parent) const noexcept {
            join(parent.promise());
            static_cast<promise_base&>(frame_.promise()).resume_next();
        }
#endif
        T await_resume() const {
            result_slot<T>& result = frame_.promise().result();
            result.throw_if_failed();
            return result.take();
        }

    private:
        void join(promise_base& parent) const noexcept {
            promise_base& child = frame_.promise();
            child.awaiter_ = &parent;
            child.task_ = parent.task_;
        }
        std::coroutine_handle<promise_type> frame_;
    };
    /// Throws `invalid_state_error` when the coroutine was moved from, or has been awaited.
    awaiter operator co_await() && {
        if (!frame_ || frame_.done()) throw_not_awaitable();
        return awaiter(frame_);
    }

    promise_type& promise() const noexcept { return frame_.promise(); }
    /// Gives the frame away.
    std::coroutine_handle<promise_type> detach() noexcept { return std::exchange(frame_, nullptr); }

private:
    friend class coro_promise<T>;
    explicit coro(std::coroutine_handle<promise_type> frame) noexcept : frame_(frame) {}

    std::coroutine_handle<promise_type> frame_;
};

template <class T>
coro<T> coro_promise<T>::get_return_object() noexcept {
    static_assert(alignof(coro_promise) <= alignof(std::max_align_t),
                  "a coroutine's frame is aligned as malloc does it: return a pointer to what needs more");
    return coro<T>(std::coroutine_handle<coro_promise>::from_promise(*this));
}

}  // namespace tercet::asyncio

#include <tercet/asyncio/loop_future_awaiter.hpp>
