#pragma once

namespace tercet::asyncio {

class task_base;

/// See `cancel_scope`.
struct cancel_scope_options {
    /// Cancellations from outside wait until the scope ends: for clean-up. `shield` is the form with a time limit.
    bool shield = false;
};

/// A part of a task that can be cancelled by itself. Once it is, every wait inside it throws `cancelled_error`, until
/// the scope ends; what becomes of that error is up to the code around it. Lives in the body of a coroutine; scopes of
/// a task nest; one that ends before a scope inside it is reported to the loop's exception handler. The loop's thread.
class cancel_scope {
public:
    /// Opens a scope in the task that runs. Throws `invalid_state_error` outside a task.
    explicit cancel_scope(cancel_scope_options options = {});
    cancel_scope(const cancel_scope&) = delete;
    cancel_scope& operator=(const cancel_scope&) = delete;
    ~cancel_scope();

    /// From now on every wait inside the scope throws. May be called again, which changes nothing.
    void cancel() noexcept;
    /// `cancel` was called, whether or not a wait has noticed.
    bool cancel_called() const noexcept { return is_cancelled_; }

    /// Begins or ends the shield; a cancellation that it held off arrives at once.
    void set_shield(bool is_shielded) noexcept;
    /// Whether cancellations from outside wait.
    bool shield() const noexcept { return is_shielded_; }

    /// Whether the code around the scope is cancelled as well.
    bool is_cancelled_outside() const noexcept;

private:
    friend class task_base;

    task_base& task_;
    cancel_scope* outer_;
    bool is_shielded_;
    bool is_cancelled_ = false;
};

/// Throws `cancelled_error` when a wait that begins now would throw it: for code that must not begin its work in a task
/// that is cancelled already. Never waits. Throws `invalid_state_error` outside a task. The loop's thread.
void checkpoint_if_cancelled();

}  // namespace tercet::asyncio
