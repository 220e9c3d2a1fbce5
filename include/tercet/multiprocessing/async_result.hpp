#pragma once

#include <tercet/futures/future.hpp>
#include <tercet/futures/time_limit.hpp>

#include <exception>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

namespace tercet::multiprocessing {

/// What a `pool` gives for work that it has begun: Python's `AsyncResult`, over a future. One thread at a time.
template <class T>
class async_result {
public:
    using value_type = T;

    async_result() noexcept = default;
    explicit async_result(future<T> work) noexcept : work_(std::move(work)) {}

    /// Waits up to `limit` for the result. Throws `timeout_error`, after which it may be asked for again; what the work
    /// threw; `worker_died` when its process died; `cancelled_error` when the pool was terminated before it began.
    /// On an lvalue the result stays, `std::move(r).get()` moves it out.
    decltype(auto) get(time_limit limit = {}) & { return work_.result(limit); }
    T get(time_limit limit = {}) && { return std::move(work_).result(limit); }

    /// Waits up to `limit` and returns whether it is ready. Throws no error of the work.
    bool wait(time_limit limit = {}) const { return work_.wait(limit); }
    bool ready() const { return work_.done(); }
    /// Whether there is a result rather than an error. Throws `invalid_state_error` when it is not ready.
    bool successful() const {
        if (!ready()) throw invalid_state_error("async_result: successful: it is not ready");
        return !work_.state().has_failed();
    }

    /// The future behind it, to be awaited, or for `wait` and `as_completed`.
    future<T>& as_future() noexcept { return work_; }

private:
    future<T> work_;
};

/// What a `pool` calls before a result is ready: on a thread of its own, or in the call that submits, when the work is
/// over by then. That should not take long, and must not wait for a lock which the caller holds. What a callback throws
/// is reported as an unread error.
template <class T>
struct result_callbacks {
    std::function<void(T&)> callback = {};  ///< with the result; may change it
    std::function<void(const std::exception_ptr&)> error_callback = {};
};
template <>
struct result_callbacks<void> {
    std::function<void()> callback = {};
    std::function<void(const std::exception_ptr&)> error_callback = {};
};

namespace detail {

/// Calls one of the two, which get what `outcome` has. Reports what they throw.
template <class T>
void call_back(const result_callbacks<T>& calls, future<T>& outcome) noexcept {
    try {
        if (outcome.state().has_failed()) {
            if (!calls.error_callback) return;
            std::exception_ptr error;
            try {
                outcome.result();
            } catch (...) {
                error = std::current_exception();
            }
            calls.error_callback(error);
        } else if (calls.callback) {
            if constexpr (std::is_void_v<T>)
                calls.callback();
            else
                calls.callback(outcome.result());
        }
    } catch (...) {
        report_unread_error(std::current_exception(), "a callback of a pool");
    }
}

/// Gives `to` what `from`, which is done, has.
template <class T>
void pass_on(future<T>& from, promise<T>& to) noexcept {
    try {
        if constexpr (std::is_void_v<T>) {
            from.result();
            to.set_result();
        } else {
            to.set_result(std::move(from.result()));
        }
    } catch (...) {
        to.set_exception(std::current_exception());
    }
}

/// The result of `work`, ready once the callbacks have returned.
template <class T>
future<T> with_callbacks(future<T> work, result_callbacks<T> calls) {
    if (!calls.callback && !calls.error_callback) return work;
    struct relay {
        future<T> work;
        result_callbacks<T> calls;
        promise<T> out{};
        future_state_base* state = nullptr;  // of its future
    };
    auto shared = std::make_shared<relay>(relay{std::move(work), std::move(calls)});
    future<T> result = shared->out.get_future();
    shared->state = &result.state();
    shared->out.set_running_or_notify_cancel();  // what has callbacks cannot be cancelled behind their back
    shared->work.add_done_callback([shared] {
        // Nobody has to hear of a cancellation, and of an error only once.
        if (shared->calls.error_callback || shared->work.cancelled()) shared->state->mark_read();
        call_back(shared->calls, shared->work);
        pass_on(shared->work, shared->out);
    });
    return result;
}

}  // namespace detail

}  // namespace tercet::multiprocessing
