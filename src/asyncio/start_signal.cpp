// The task and the one who waits for its start each hold a reference. Whichever comes first, the start or the end of
// the task, completes the wait; until then a cancellation of the wait goes on to the task, as that of every join does.

#include <tercet/asyncio/start_signal.hpp>
#include <tercet/futures/errors.hpp>

namespace tercet::asyncio {

void start_state_base::wake() noexcept {
    child_ = nullptr;
    if (start_wait* const waiter = std::exchange(waiter_, nullptr)) waiter->complete();
}

void start_state_base::child_ended(const std::exception_ptr& error) noexcept {
    error_ = error ? error : exception_of([] {
        return invalid_state_error("task_group::start: the task ended without calling started()");
    });
    wake();
}

void start_state_base::require_not_started() const {
    if (is_started_) throw invalid_state_error("task_status: started() was called before");
}

void start_state_base::mark_started() noexcept {
    is_started_ = true;
    wake();
}

void start_state_base::throw_if_not_started() const {
    if (!is_started_) std::rethrow_exception(error_);
}

bool start_wait::begin() noexcept {
    if (!state_.child_) return true;
    state_.waiter_ = this;
    return false;
}

bool start_wait::abandon() noexcept {
    state_.child_->cancel(waiting_task().cancel_message());
    return false;
}

void start_wait::name_awaited(task_search& search) const noexcept { search.add(*state_.child_); }

}  // namespace tercet::asyncio
