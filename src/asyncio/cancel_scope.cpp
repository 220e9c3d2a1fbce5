// The scopes of a task are a list, innermost first; the task computes from it whether its waits throw (task_base.cpp).
// A scope that ends before one inside it, which takes scopes on the heap, leaves from the middle: the others stay
// right.

#include <tercet/asyncio/cancel_scope.hpp>
#include <tercet/asyncio/event_loop.hpp>
#include <tercet/asyncio/task_base.hpp>
#include <tercet/futures/errors.hpp>

#include <fmt/format.h>

namespace tercet::asyncio {

namespace {

task_base& task_that_runs(const char* where) {
    task_base* const current = get_running_loop().current_task();
    if (!current) throw invalid_state_error(fmt::format("{}: a callback is no task; use it in coroutines", where));
    return *current;
}

void report_disorder(const task_base& task) noexcept {
    const std::exception_ptr error = exception_of([&task] {
        return invalid_state_error(fmt::format(
            "cancel_scope: a scope of {} ended before one inside it; close the innermost first", task.name()));
    });
    task.loop().call_exception_handler(error, "a cancel_scope");
}

}  // namespace

cancel_scope::cancel_scope(cancel_scope_options options)
    : task_(task_that_runs("cancel_scope")), outer_(task_.innermost_), is_shielded_(options.shield) {
    task_.innermost_ = this;
    task_.update_cancel_due();
}

cancel_scope::~cancel_scope() {
    if (task_.innermost_ != this) [[unlikely]]
        report_disorder(task_);
    cancel_scope** link = &task_.innermost_;
    while (*link != this) link = &(*link)->outer_;
    *link = outer_;
    task_.update_cancel_due();
}

void cancel_scope::cancel() noexcept {
    if (std::exchange(is_cancelled_, true)) return;
    task_.update_cancel_due();
}

void cancel_scope::set_shield(bool is_shielded) noexcept {
    if (std::exchange(is_shielded_, is_shielded) != is_shielded) task_.update_cancel_due();
}

bool cancel_scope::is_cancelled_outside() const noexcept {
    if (is_shielded_) return false;
    for (const cancel_scope* scope = outer_; scope; scope = scope->outer_) {
        if (scope->is_cancelled_) return true;
        if (scope->is_shielded_) return false;
    }
    return task_.is_cancel_requested();
}

void checkpoint_if_cancelled() {
    const task_base& task = task_that_runs("checkpoint_if_cancelled");
    if (task.is_cancel_due()) throw cancelled_error(std::string(task.cancel_message()));
}

}  // namespace tercet::asyncio
