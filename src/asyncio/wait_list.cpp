// A waiter stands in one list or in none; list_ says in which. It leaves by pop, which completes it, or by abandon,
// which is the cancellation; both run on the loop's thread, so one of them finds it there and the other does not.
//
// A primitive often lives in the frame of the coroutine that made it, and may go while others wait in it: the wait of
// these is over, with an error. When their task is cancelled by then, as all are at the end of `run`, that counts.

#include <tercet/asyncio/task_base.hpp>
#include <tercet/asyncio/wait_list.hpp>
#include <tercet/futures/errors.hpp>

namespace tercet::asyncio {

void wait_list::waiter::wait_in(wait_list& list) noexcept {
    list_ = &list;
    next_ = nullptr;
    previous_ = list.last_;
    (previous_ ? previous_->next_ : list.first_) = this;
    list.last_ = this;
}

bool wait_list::waiter::abandon() noexcept {
    list_->unlink(*this);
    return true;
}

void wait_list::waiter::throw_left_behind() const {
    task_base& task = waiting_task();
    if (task.is_cancel_due()) throw cancelled_error(std::string(task.cancel_message()));
    throw invalid_state_error("the object for which " + task.name() + " waited was destroyed; it must live longer");
}

void wait_list::unlink(waiter& leaving) noexcept {
    (leaving.previous_ ? leaving.previous_->next_ : first_) = leaving.next_;
    (leaving.next_ ? leaving.next_->previous_ : last_) = leaving.previous_;
}

wait_list::waiter* wait_list::pop() noexcept {
    waiter* const woken = first_;
    if (!woken) return nullptr;
    first_ = woken->next_;
    (first_ ? first_->previous_ : last_) = nullptr;
    woken->complete();
    return woken;
}

void wait_list::wake_all() noexcept {
    while (pop()) {
    }
}

void wait_list::move_first_to(wait_list& other) noexcept {
    waiter& moved = *first_;
    unlink(moved);
    moved.wait_in(other);
}

void wait_list::leave_all_behind() noexcept {
    while (waiter* const woken = pop()) woken->is_left_behind_ = true;
}

}  // namespace tercet::asyncio
