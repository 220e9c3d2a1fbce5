#pragma once

#include <tercet/asyncio/coro.hpp>
#include <tercet/asyncio/event_loop.hpp>
#include <tercet/asyncio/task.hpp>
#include <tercet/futures/errors.hpp>
#include <tercet/futures/future.hpp>

#include <exception>
#include <functional>
#include <mutex>
#include <type_traits>
#include <utility>

namespace tercet::asyncio {

/// The future of a coroutine that runs on a loop: asking it to stop cancels the task there.
template <class T>
class threadsafe_call final : public future_state<T> {
public:
    explicit threadsafe_call(coro<T> work) noexcept : work_(std::move(work)) {}

    /// On the loop: begins, unless it was cancelled before.
    void begin(event_loop& loop) noexcept {
        if (!this->start()) return;
        try {
            {
                const std::scoped_lock guard(mutex_);
                task_ = create_task_on(loop, std::move(work_));
                if (is_stop_requested_) task_.cancel();
            }
            this->add_reference();
            task_.add_done_callback([self = state_pointer<threadsafe_call>(this)] { self->end(); });
        } catch (...) {
            if (task_.valid()) task_.cancel();  // it would run without anybody to hear of its end
            this->finish(std::current_exception());
        }
    }

private:
    void end() {
        task_base& ended = task_.state();
        if (ended.is_cancelled()) {
            this->finish_cancelled();
        } else if (ended.error()) {
            ended.mark_read();
            this->finish(ended.error());
        } else {
            std::exception_ptr failed;
            try {
                if constexpr (std::is_void_v<T>)
                    this->emplace();
                else
                    this->emplace(std::move(task_).result());
            } catch (...) {
                failed = std::current_exception();
            }
            failed ? this->finish(std::move(failed)) : this->finish();
        }
    }

    void request_stop() noexcept override {
        const std::scoped_lock guard(mutex_);
        is_stop_requested_ = true;
        if (task_.valid()) task_.cancel();
    }
    const char* origin() const noexcept override { return "a coroutine started by run_coroutine_threadsafe"; }

    coro<T> work_;
    std::mutex mutex_;  // between begin and request_stop
    bool is_stop_requested_ = false;
    task<T> task_;
};

/// The way of such a call to the loop. One that does not arrive, because the loop ends before, cancels the future.
template <class T>
class threadsafe_start {
public:
    threadsafe_start(state_pointer<threadsafe_call<T>> call, event_loop& loop) noexcept
        : call_(std::move(call)), loop_(&loop) {}
    threadsafe_start(threadsafe_start&&) noexcept = default;
    threadsafe_start& operator=(threadsafe_start&&) = delete;
    ~threadsafe_start() {
        if (call_) call_->cancel();
    }

    void operator()() { state_pointer<threadsafe_call<T>>(std::move(call_))->begin(*loop_); }

private:
    state_pointer<threadsafe_call<T>> call_;
    event_loop* loop_;
};

/// Runs `work` as a task of `loop`, which another thread runs, and answers with a future. Cancelling that before the
/// task began drops the coroutine; later it cancels the task. A loop that ends cancels the future. Any thread, as long
/// as the loop exists. Throws `invalid_state_error` when the loop has ended, or `work` was moved from.
template <class T>
future<T> run_coroutine_threadsafe(coro<T> work, event_loop& loop) {
    if (!work.valid())
        throw invalid_state_error("run_coroutine_threadsafe: the coroutine was moved from, or is a task already");
    state_pointer<threadsafe_call<T>> call(new threadsafe_call<T>(std::move(work)));
    future<T> result(state_pointer<future_state<T>>{state_pointer<threadsafe_call<T>>(call)});
    loop.call_soon_threadsafe(threadsafe_start<T>(std::move(call), loop));
    return result;
}

}  // namespace tercet::asyncio
