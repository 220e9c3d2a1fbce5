// The listeners stand in a vector that never grows, so their tasks may point at them. The join is part of a coroutine
// that keeps handles of the tasks, and cannot go before the last listener has fired.

#include <tercet/asyncio/task_join.hpp>

namespace tercet::asyncio {

task_join::task_join(std::size_t count, policy when_one_fails) : suspension(entry::joins), policy_(when_one_fails) {
    listeners_.reserve(count);
}

void task_join::add(task_base& task) noexcept {
    task.listen(listeners_.emplace_back(*this, task));
    ++pending_;
}

void task_join::cancel_all(const char* message) noexcept {
    for (const listener& each : listeners_) each.task.cancel(message);
}

bool task_join::abandon() noexcept {
    is_waiting_abandoned_ = true;
    cancel_all("the one who awaits was cancelled");
    return false;
}

void task_join::name_awaited(task_search& search) const noexcept {
    for (const listener& each : listeners_) search.add(each.task);
}

void task_join::task_done(done_listener& self) noexcept {
    const auto& here = static_cast<listener&>(self);
    task_join& join = here.owner;
    --join.pending_;
    if (here.task.error()) {
        const bool is_first = !join.first_failed_ && !join.first_cancelled_;
        task_base*& first = here.task.is_cancelled() ? join.first_cancelled_ : join.first_failed_;
        if (!first) first = &here.task;
        if (is_first && join.policy_ == policy::first_error_cancels && join.pending_ > 0)
            join.cancel_all("a sibling failed");
    }
    if (join.pending_ == 0) join.complete();
}

void task_join::throw_first_error() const {
    if (start_error_) std::rethrow_exception(start_error_);
    if (policy_ == policy::all_run && !(is_waiting_abandoned_ && first_cancelled_)) return;
    if (is_waiting_abandoned_ && first_cancelled_ && (policy_ == policy::all_run || !first_failed_))
        throw cancelled_error(std::string(waiting_task().cancel_message()));
    if (first_failed_) first_failed_->throw_if_failed();
    if (first_cancelled_) first_cancelled_->throw_if_failed();
}

}  // namespace tercet::asyncio
