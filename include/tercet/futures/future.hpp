#pragma once

#include <tercet/futures/errors.hpp>
#include <tercet/futures/future_state.hpp>
#include <tercet/futures/time_limit.hpp>

#include <coroutine>
#include <exception>
#include <functional>
#include <utility>

namespace tercet {

/// What a future of any type offers. A future is a handle that one thread uses at a time; `cancel` and the questions
/// about its state may come from any thread. Many threads that are to wait for one result have a `shared_future` each.
class future_base {
public:
    /// False for a default-constructed or moved-from future; every other method throws `invalid_state_error` then.
    bool valid() const noexcept { return static_cast<bool>(state_); }

    /// There is a result, an error, or a cancellation.
    bool done() const { return state().is_done(); }
    /// The work has started and has not ended.
    bool running() const { return state().is_running(); }
    /// The work was cancelled.
    bool cancelled() const { return state().is_cancelled(); }

    /// Cancels work that has not started and returns true. Work that runs is asked to stop when it takes a
    /// `std::stop_token`, and goes on otherwise: false. Any thread.
    bool cancel() { return state().cancel(); }

    /// Waits up to `limit` and returns whether the future is done.
    /// Throws nothing else than `invalid_state_error`, which it also does where blocking is banned: on the thread of an
    /// event loop. Cancel safety: leaves the future as it was.
    bool wait(time_limit limit = {}) const;

    /// Waits up to `limit` for the error; null when there is a result. Throws `timeout_error`, and `cancelled_error`
    /// when the work was cancelled.
    std::exception_ptr exception(time_limit limit = {}) const;

    /// Runs `callback` when the future is done: in order, on the thread that finishes it, or at once when it is done
    /// already. An exception from it is reported as an unread error. When the future is finished in the very moment in
    /// which a wait with a time limit gives up, the waiting thread may run the callbacks instead.
    void add_done_callback(std::function<void()> callback);

    /// The shared state, for those who build executors and awaiters. Throws `invalid_state_error` when there is none.
    future_state_base& state() const;

protected:
    future_base() noexcept = default;
    explicit future_base(state_pointer<future_state_base> state) noexcept : state_(std::move(state)) {}
    ~future_base() = default;
    future_base(const future_base&) noexcept = default;
    future_base(future_base&&) noexcept = default;
    future_base& operator=(const future_base&) noexcept = default;
    future_base& operator=(future_base&&) noexcept = default;

    /// Waits, then throws what the future holds instead of a value.
    void wait_for_value(time_limit limit) const;

    /// The only consumer goes: an error that is there goes with it, on this thread. So a producer that still holds the
    /// state never destroys an exception which this thread has just handled.
    void drop_error() noexcept {
        if (state_ && state_->is_done()) state_->drop_error();
    }

private:
    state_pointer<future_state_base> state_;
};

template <class T>
class shared_future;

/// The result of work that somebody else does: a thread, a process, an event loop. Blocks, is awaited, or calls back.
template <class T>
class future : public future_base {
public:
    using value_type = T;

    future() noexcept = default;
    explicit future(state_pointer<future_state<T>> state) noexcept : future_base(std::move(state)) {}
    future(future&&) noexcept = default;
    future& operator=(future&& other) noexcept {
        if (this == &other) return *this;
        drop_error();
        future_base::operator=(std::move(other));
        return *this;
    }
    ~future() { drop_error(); }

    /// Makes of this future one that many threads may have and wait for; `#include <tercet/futures/shared_future.hpp>`.
    /// This one is empty after that. Throws `invalid_state_error` when it is empty before, and `std::bad_alloc`.
    shared_future<T> share() &&;

    /// Waits up to `limit` for the result. Throws what the work threw, `cancelled_error`, `timeout_error`.
    /// Cancel safety: a call that timed out leaves the future as it was.
    /// On an lvalue the result stays in the future and may be asked for again; `std::move(f).result()` moves it out.
    decltype(auto) result(time_limit limit = {}) & {
        wait_for_value(limit);
        if constexpr (!std::is_void_v<T>) return static_cast<T&>(typed_state().value());
    }
    T result(time_limit limit = {}) && {
        wait_for_value(limit);
        if constexpr (!std::is_void_v<T>) return std::move(typed_state().value());
    }

    future_state<T>& typed_state() const { return static_cast<future_state<T>&>(state()); }
};

/// The side of a future that gives the result. One thread at a time.
template <class T>
class promise {
public:
    promise() : state_(new future_state<T>) {}
    promise(promise&&) noexcept = default;
    promise& operator=(promise&& other) noexcept {
        abandon();
        state_ = std::move(other.state_);
        is_taken_ = std::exchange(other.is_taken_, false);
        is_started_ = std::exchange(other.is_started_, false);
        return *this;
    }
    /// A future left without a result fails with `invalid_state_error`.
    ~promise() { abandon(); }

    /// The future of this promise. Throws `invalid_state_error` the second time.
    future<T> get_future() {
        if (!state_ || std::exchange(is_taken_, true))
            throw invalid_state_error("promise::get_future: the future was taken before");
        return future<T>(state_);
    }

    /// Announces that work begins, so that it cannot be cancelled any more. False: it was cancelled; do not work.
    bool set_running_or_notify_cancel() {
        if (!state_) throw invalid_state_error("promise: moved from");
        if (!is_started_) is_started_ = state_->start();
        return is_started_;
    }

    /// Gives the result. Throws `invalid_state_error` when the future has one or was cancelled.
    template <class... Args>
    void set_result(Args&&... args) {
        claim();
        state_->emplace(std::forward<Args>(args)...);
        state_->finish();
    }

    /// Gives an error instead of a result. Throws as `set_result` does.
    void set_exception(std::exception_ptr error) {
        claim();
        state_->finish(std::move(error));
    }

private:
    void claim() {
        if (!set_running_or_notify_cancel()) throw invalid_state_error("promise: the future was cancelled");
        if (state_->is_done()) throw invalid_state_error("promise: the future has a result already");
    }
    void abandon() noexcept {
        if (!state_ || state_->is_done() || !(is_started_ || state_->start())) return;
        state_->mark_read();  // whoever has dropped both sides does not want to hear of it
        state_->finish(exception_of([] { return invalid_state_error("the promise was dropped without a result"); }));
    }

    state_pointer<future_state<T>> state_;
    bool is_taken_ = false;
    bool is_started_ = false;
};

/// Lets a coroutine of any library await a future. It resumes on the thread that finishes the future; coroutines of
/// `tercet::asyncio` resume on their own loop instead, and can be cancelled while they wait.
template <class Future>
class future_awaiter : private continuation {
public:
    explicit future_awaiter(Future&& future) noexcept
        : continuation(&resume, kind::callback), future_(std::forward<Future>(future)) {}
    future_awaiter(const future_awaiter&) = delete;
    future_awaiter& operator=(const future_awaiter&) = delete;
    /// A coroutine that is destroyed while it waits must not be resumed: that is safe unless the future is being
    /// finished by another thread at that moment.
    ~future_awaiter() {
        if (waiter_ && future_.valid()) future_.state().detach(*this);
    }

    bool await_ready() const { return future_.done(); }
    bool await_suspend(std::coroutine_handle<> waiter) {
        waiter_ = waiter;
        return future_.state().attach(*this);  // from here on the coroutine may run, and this may be gone
    }
    decltype(auto) await_resume() {
        waiter_ = nullptr;
        return std::forward<Future>(future_).result();
    }

private:
    static void resume(continuation& self) noexcept { static_cast<future_awaiter&>(self).waiter_.resume(); }

    Future future_;
    std::coroutine_handle<> waiter_;
};

template <class T>
future_awaiter<future<T>&> operator co_await(future<T>& waited) noexcept {
    return future_awaiter<future<T>&>(waited);
}
template <class T>
future_awaiter<future<T>> operator co_await(future<T>&& waited) noexcept {
    return future_awaiter<future<T>>(std::move(waited));
}

}  // namespace tercet
