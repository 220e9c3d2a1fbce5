#pragma once

#include <tercet/asyncio/result_slot.hpp>
#include <tercet/asyncio/suspension.hpp>
#include <tercet/asyncio/task_base.hpp>
#include <tercet/futures/future_state.hpp>

#include <cstdint>
#include <exception>
#include <utility>

namespace tercet::asyncio {

class start_wait;

/// What a task that is being started shares with the one who waits for that. The loop's thread.
class start_state_base {
public:
    start_state_base(const start_state_base&) = delete;
    start_state_base& operator=(const start_state_base&) = delete;

    void add_reference() noexcept { ++references_; }
    void release() noexcept {
        if (--references_ == 0) delete this;
    }

    void set_child(task_base& child) noexcept { child_ = &child; }
    bool is_started() const noexcept { return is_started_; }
    /// The task ended before it had started; null: without an error.
    void child_ended(const std::exception_ptr& error) noexcept;

protected:
    start_state_base() noexcept = default;
    virtual ~start_state_base() = default;

    /// Throws `invalid_state_error` when it has started.
    void require_not_started() const;
    void mark_started() noexcept;
    void throw_if_not_started() const;

private:
    friend class start_wait;

    void wake() noexcept;

    std::uint32_t references_ = 1;
    bool is_started_ = false;
    task_base* child_ = nullptr;  // while it is alive and has not started
    start_wait* waiter_ = nullptr;
    std::exception_ptr error_;
};

using start_state_pointer = state_pointer<start_state_base>;

template <class T>
class start_state final : public start_state_base {
public:
    template <class... Args>
    void start(Args&&... args) {
        require_not_started();
        value_.emplace(std::forward<Args>(args)...);
        mark_started();
    }
    /// The value; throws what the task threw instead.
    T take() {
        throw_if_not_started();
        return value_.take();
    }

private:
    result_slot<T> value_;
};

template <class T>
using start_signal = state_pointer<start_state<T>>;

/// Until the task has started, or has ended.
class start_wait final : public suspension {
public:
    explicit start_wait(start_state_base& state) noexcept : suspension(entry::joins), state_(state) {}
    void await_resume() const noexcept {}

private:
    friend class start_state_base;
    bool begin() noexcept override;
    bool abandon() noexcept override;
    void name_awaited(task_search& search) const noexcept override;
    start_state_base& state_;
};

/// The first argument of what `task_group::start` starts: by this it says that it is ready.
template <class T = void>
class task_status {
public:
    explicit task_status(start_signal<T> signal) noexcept : signal_(std::move(signal)) {}

    /// Gives `value...` to the one who waits in `start`. Throws `invalid_state_error` the second time.
    template <class... Value>
    void started(Value&&... value) {
        signal_->start(std::forward<Value>(value)...);
    }

private:
    start_signal<T> signal_;
};

}  // namespace tercet::asyncio
