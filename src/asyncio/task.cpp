// Waiting for a task joins it: a cancellation of the one who waits goes on to the task, and the wait lasts until that
// has ended. So no task is left behind unseen, and a result that came in the same turn is delivered.
// Tasks that wait for each other would wait for ever: the one that is cancelled by another of the circle lets go.

#include <tercet/asyncio/event_loop.hpp>
#include <tercet/asyncio/task.hpp>

namespace tercet::asyncio {

bool task_wait::begin() noexcept {
    if (&task_ == &waiting_task())
        refusal_ = "await: a task cannot await itself";
    else if (&task_.loop() != &loop())
        refusal_ = "await: the task belongs to another event loop; use run_coroutine_threadsafe there";
    else
        task_.listen(*this);
    return refusal_ != nullptr;
}

bool task_wait::abandon() noexcept {
    if (task_.is_cancelled_in_circle_with(waiting_task())) {
        task_.stop_listening(*this);
        return true;
    }
    task_.cancel(waiting_task().cancel_message());
    return false;
}

void task_wait::check() {
    throw_if_cancelled();
    if (refusal_) throw invalid_state_error(refusal_);
    task_.throw_if_failed();
}

task_base& task_handle::state() const {
    if (!state_) throw invalid_state_error("task: the handle is empty");
    return *state_;
}

std::exception_ptr task_handle::exception() const {
    task_base& asked = state();
    asked.require_done("task::exception");
    asked.mark_read();
    if (asked.is_cancelled()) std::rethrow_exception(asked.error());
    return asked.error();
}

namespace {

task_handle handle_of(task_base* task) noexcept {
    if (task) task->add_reference();
    return task_handle(state_pointer<task_base>(task));
}

}  // namespace

task_handle current_task() {
    const event_loop* const loop = find_running_loop();
    return handle_of(loop ? loop->current_task() : nullptr);
}

std::vector<task_handle> all_tasks() {
    std::vector<task_handle> tasks;
    for (task_base* each = get_running_loop().first_task(); each; each = each->next_task())
        tasks.push_back(handle_of(each));
    return tasks;
}

}  // namespace tercet::asyncio
