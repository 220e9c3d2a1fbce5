// A group is open; then, from its first error or `cancel` on, aborting; and ended when its owner joins it and no child
// is alive. An aborting group takes no more children, so it ends as soon as those that it has are done.
//
// Its children stand in a list of nodes that listen for the end of their task: a node goes with the task, so a group
// that lives long keeps nothing of children that have ended. The code around the group is cancelled by a cancel_scope
// in the owner's task, which closes when the group ends; the wait for the children is a join, which a cancellation does
// not end, so the scope may be cancelled while the owner waits there.
//
// What leaves, by rank: an error that is no std::exception, or a keyboard_interrupt; the group of all errors; the
// cancellation of the body; a cancellation from outside, if a child was cancelled by it (otherwise nothing is lost, and
// the next wait throws).

#include <tercet/asyncio/cancel_on_interrupt.hpp>
#include <tercet/asyncio/event_loop.hpp>
#include <tercet/asyncio/task_group.hpp>
#include <tercet/futures/errors.hpp>

#include <fmt/format.h>

#include <stdexcept>

namespace tercet::asyncio {

namespace {

enum class kind_of_error : unsigned char { cancellation, usual, fatal };

kind_of_error kind_of(const std::exception_ptr& error) noexcept {
    try {
        std::rethrow_exception(error);
    } catch (const cancelled_error&) {
        return kind_of_error::cancellation;
    } catch (const keyboard_interrupt&) {
        return kind_of_error::fatal;
    } catch (const std::exception&) {
        return kind_of_error::usual;
    } catch (...) {
        return kind_of_error::fatal;
    }
}

std::exception_ptr error_of_unjoined(const std::string& title, std::size_t alive, const std::string& names) noexcept {
    return exception_of([&] {
        return invalid_state_error(
            fmt::format("{}: destroyed with {} {} alive: {}; co_await its join() first, or use with_task_group", title,
                        alive, alive == 1 ? "child" : "children", names));
    });
}

}  // namespace

task_group::task_group(task_group_options options) : name_(options.name) {
    scope_.emplace();
    owner_ = get_running_loop().current_task();
    if (options.limit == 0) throw std::invalid_argument("task_group: a limit of zero, so no child could run");
    if (options.limit != task_group_options{}.limit) turns_.emplace(options.limit);
}

task_group::~task_group() {
    if (first_) {
        std::string names;
        for (const child* each = first_; each; each = each->next)
            names += (names.empty() ? "" : ", ") + each->task->name();
        report_unread_error(error_of_unjoined(title(), alive_, names), "a task_group");
        std::terminate();
    }
    if (fatal_) errors_.push_back(fatal_);
    for (const std::exception_ptr& each : errors_) report_unread_error(each, "a task_group that nobody joined");
}

std::string task_group::title() const { return name_.empty() ? "task_group" : "task_group " + name_; }

void task_group::check_turn() const {
    if (is_aborting_) throw cancelled_error(title() + ": it was cancelled before the child began");
}

std::unique_ptr<task_group::child> task_group::new_child(const char* call) {
    if (has_ended_) throw invalid_state_error(fmt::format("{}: {} after its end", title(), call));
    if (is_aborting_)
        throw invalid_state_error(
            fmt::format("{}: {} when it is {}", title(), call, is_cancelled_ ? "cancelled" : "ending by an error"));
    return std::make_unique<child>(*this);
}

void task_group::adopt(std::unique_ptr<child> added, task_base& task) noexcept {
    if (task.is_done()) {
        note_end(*added, task);
        return;
    }
    ++alive_;
    child& linked = *added.release();
    linked.task = &task;
    linked.previous = last_;
    (last_ ? last_->next : first_) = &linked;
    last_ = &linked;
    task.listen(linked);
}

void task_group::child::ended(done_listener& self) noexcept {
    const std::unique_ptr<child> me(static_cast<child*>(&self));
    task_group& group = me->group;
    (me->previous ? me->previous->next : group.first_) = me->next;
    (me->next ? me->next->previous : group.last_) = me->previous;
    --group.alive_;
    group.note_end(*me, *me->task);
    if (group.alive_ > 0 || !group.joiner_) return;
    group.has_ended_ = true;
    std::exchange(group.joiner_, nullptr)->end();
}

void task_group::note_end(child& ended, task_base& task) noexcept {
    if (ended.signal && !ended.signal->is_started()) {
        task.mark_read();
        ended.signal->child_ended(task.error());
    } else if (task.is_cancelled()) {
        was_child_cancelled_ = true;
    } else if (task.error()) {
        task.mark_read();
        note_error(task.error());
    }
}

void task_group::note_error(const std::exception_ptr& error) noexcept {
    if (kind_of(error) == kind_of_error::fatal && !fatal_) {
        fatal_ = error;
    } else {
        try {
            errors_.push_back(error);
        } catch (...) {  // no memory to keep it
            report_unread_error(error, "a child of a task_group");
        }
    }
    abort("a sibling failed");
}

void task_group::body_failed(const std::exception_ptr& error) noexcept {
    if (kind_of(error) != kind_of_error::cancellation) {
        note_error(error);
    } else if (!is_aborting_ || scope_->is_cancelled_outside()) {
        body_cancelled_ = error;
        abort(owner_->cancel_message());
    }
}

void task_group::cancel(std::string_view message) noexcept {
    if (has_ended_) return;
    is_cancelled_ = true;
    abort(message);
}

void task_group::abort(std::string_view message) noexcept {
    if (std::exchange(is_aborting_, true)) return;
    scope_->cancel();
    for (const child* each = first_; each; each = each->next) each->task->cancel(message);
}

bool task_group::join_wait::begin() noexcept {
    if (&waiting_task() != group_.owner_) {
        is_refused_ = true;
        return true;
    }
    if (group_.alive_ == 0) {
        group_.has_ended_ = true;
        return true;
    }
    group_.joiner_ = this;
    return false;
}

bool task_group::join_wait::abandon() noexcept {
    group_.abort(waiting_task().cancel_message());
    return false;
}

void task_group::join_wait::name_awaited(task_search& search) const noexcept {
    for (const child* each = group_.first_; each; each = each->next) search.add(*each->task);
}

void task_group::join_wait::await_resume() const {
    if (is_refused_) throw invalid_state_error(group_.title() + ": only the task that opened it may join it");
    group_.end();
}

void task_group::end() {
    if (!scope_) return;
    const bool is_cancelled_outside = scope_->is_cancelled_outside();
    scope_.reset();
    std::vector<std::exception_ptr> errors = std::exchange(errors_, {});
    if (fatal_) {
        for (const std::exception_ptr& each : errors) report_unread_error(each, title());
        std::rethrow_exception(std::exchange(fatal_, nullptr));
    }
    if (!errors.empty()) throw exception_group(title(), std::move(errors));
    if (body_cancelled_) std::rethrow_exception(body_cancelled_);
    if (is_cancelled_outside && was_child_cancelled_) throw cancelled_error(std::string(owner_->cancel_message()));
}

}  // namespace tercet::asyncio
