// A task from its creation to its end:
//
//   ready      its outermost or innermost coroutine stands in the loop's ready queue; waits_on_ is null
//   running    the loop's current task; waits_on_ is null
//   waiting    waits_on_ is the one suspension that will make it ready again
//   done       is_done_, published with release: the result, error_ and is_cancelled_ never change again
//
// All but two things happen on the loop's thread. Handles may be dropped anywhere, hence the atomic count; and cancel()
// may be called anywhere: elsewhere it goes through the inbox with a reference to the task, and does nothing if the
// task was done meanwhile. The inbox outlives the loop for as long as a task refers to it.
//
// Cancellation. A task has a stack of scopes, under which lies the task itself. is_cancel_due_ is the answer to "is
// there a cancelled scope between here and the innermost shield, or the task's own request if there is no shield"; it
// is computed anew when a scope opens, ends or is cancelled. Waits look at that flag only. When it becomes true while
// the task waits, the suspension is told to let go. A suspension that completed before has cleared waits_on_: its value
// stands, and the next wait throws.
//
// A suspension that waits for tasks cancels them in turn, and so on along a chain of any length. So the tasks to be
// told stand in a list of the loop, and whoever adds the first tells all, those that are added meanwhile too.

#include <tercet/asyncio/cancel_scope.hpp>
#include <tercet/asyncio/coro.hpp>
#include <tercet/asyncio/event_loop.hpp>
#include <tercet/asyncio/task_base.hpp>
#include <tercet/futures/errors.hpp>

#include <fmt/format.h>

#include <limits>

namespace tercet::asyncio {

namespace {

struct remote_cancel : ready_node {
    remote_cancel(task_base& cancelled, std::string_view text) : ready_node(&arrive), task(cancelled), message(text) {
        task.add_reference();
    }
    static void arrive(ready_node& self, reason why) noexcept {
        const std::unique_ptr<remote_cancel> request(static_cast<remote_cancel*>(&self));
        if (why == reason::run) request->task.cancel(request->message);
    }
    remote_cancel(const remote_cancel&) = delete;
    remote_cancel& operator=(const remote_cancel&) = delete;
    ~remote_cancel() { task.release(); }

    task_base& task;
    std::string message;
};

struct done_callback : done_listener {
    done_callback(event_loop& where, std::function<void()> fn)
        : done_listener(&schedule), loop(where), call(new scheduled_call_of<std::function<void()>>(std::move(fn))) {}
    static void schedule(done_listener& self) noexcept {
        const std::unique_ptr<done_callback> owned(static_cast<done_callback*>(&self));
        owned->call->make_ready(owned->loop);
    }
    done_callback(const done_callback&) = delete;
    done_callback& operator=(const done_callback&) = delete;
    ~done_callback() { call->release(); }

    event_loop& loop;
    scheduled_call* call;
};

bool is_cancellation(const std::exception_ptr& error) noexcept {
    try {
        std::rethrow_exception(error);
    } catch (const cancelled_error&) {
        return true;
    } catch (...) {
        return false;
    }
}

}  // namespace

task_base::task_base(event_loop& loop, promise_base& root, const task_options& options, std::source_location created_at)
    : loop_(&loop),
      inbox_(loop.inbox_.get()),
      root_(&root),
      context_(options.context ? *options.context
                               : (loop.current_task_ ? loop.current_task_->context_ : asyncio::context::current())),
      number_(loop.next_task_number_++),
      created_at_(created_at) {
    if (!options.name.empty()) texts().name = options.name;
    loop.borrow_inbox();
    root.task_ = this;
    previous_ = loop.last_task_;
    (previous_ ? previous_->next_ : loop.first_task_) = this;
    loop.last_task_ = this;
    if (!options.eager_start) loop.schedule(root);
}

void task_base::begin_now() noexcept {
    if (find_running_loop() == loop_)
        loop_->run_eagerly(*root_);
    else
        loop_->schedule(*root_);
}

task_base::~task_base() {
    event_loop* const here = find_running_loop();
    if (here && here->inbox_.get() == inbox_)
        here->return_inbox();
    else
        inbox_->release();
}

void task_base::release() noexcept {
    // The only reference cannot become two meanwhile, so the last owner needs no atomic subtraction.
    if (references_.load(std::memory_order_acquire) != 1 && references_.fetch_sub(1, std::memory_order_acq_rel) != 1)
        return;
    if (error_ && !is_cancelled_ && !is_read_.load(std::memory_order_relaxed)) {
        std::string origin;
        try {
            origin = fmt::format("task {} made at {}:{}", name(), created_at_.file_name(), created_at_.line());
        } catch (...) {  // no memory for the text
            origin = "a task";
        }
        event_loop* const here = find_running_loop();
        if (here && here->inbox_.get() == inbox_)
            here->call_exception_handler(error_, origin);
        else
            report_unread_error(error_, origin);
    }
    delete this;
}

std::string task_base::name() const {
    return texts_ && !texts_->name.empty() ? texts_->name : fmt::format("task-{}", number_);
}

bool task_base::cancel(std::string_view message) {
    if (is_done()) return false;
    event_loop* const here = find_running_loop();
    if (here && here->inbox_.get() == inbox_) {
        cancel_here(message);
        return true;
    }
    auto request = std::make_unique<remote_cancel>(*this, message);
    if (!inbox_->push(*request)) return false;
    static_cast<void>(request.release());
    return true;
}

void task_base::cancel_here(std::string_view message) noexcept {
    if (cancel_requests_ < std::numeric_limits<std::uint16_t>::max()) ++cancel_requests_;
    if (cancel_requests_ > 1) return;
    if (!message.empty()) {
        try {
            texts().cancel_message = message;
        } catch (...) {  // NOLINT(bugprone-empty-catch): no memory for the message; the cancellation stands
        }
    }
    update_cancel_due();
}

std::uint32_t task_base::uncancel() noexcept {
    if (cancel_requests_ > 0 && --cancel_requests_ == 0) {
        if (texts_) texts_->cancel_message.clear();
        update_cancel_due();
    }
    return cancel_requests_;
}

void task_base::update_cancel_due() noexcept {
    is_cancel_due_ = false;
    const cancel_scope* scope = innermost_;
    for (; scope && !is_cancel_due_; scope = scope->outer_) {
        is_cancel_due_ = scope->is_cancelled_;
        if (scope->is_shielded_) break;
    }
    if (!scope) is_cancel_due_ = is_cancel_due_ || is_cancel_requested();
    if (is_cancel_due_) deliver_cancel();
}

void task_base::deliver_cancel() noexcept {
    if (!waits_on_ || std::exchange(is_to_be_told_, true)) return;
    event_loop& loop = *loop_;
    next_to_tell_ = nullptr;
    (loop.last_to_tell_ ? loop.last_to_tell_->next_to_tell_ : loop.first_to_tell_) = this;
    loop.last_to_tell_ = this;
    if (std::exchange(loop.is_telling_, true)) return;
    while (task_base* const told = loop.first_to_tell_) {
        loop.first_to_tell_ = told->next_to_tell_;
        if (!loop.first_to_tell_) loop.last_to_tell_ = nullptr;
        told->is_to_be_told_ = false;
        if (suspension* const wait = told->waits_on_; wait && wait->abandon()) {
            wait->was_cancelled_ = true;
            wait->complete();
        }
    }
    loop.is_telling_ = false;
}

void task_base::listen(done_listener& listener) noexcept {
    listener.next = nullptr;
    if (first_listener_) {
        listener.previous = first_listener_->previous;
        listener.previous->next = &listener;
    } else {
        first_listener_ = &listener;
    }
    first_listener_->previous = &listener;
}

void task_base::stop_listening(done_listener& listener) noexcept {
    if (&listener == first_listener_)
        first_listener_ = listener.next;
    else
        listener.previous->next = listener.next;
    if (listener.next)
        listener.next->previous = listener.previous;
    else if (first_listener_)
        first_listener_->previous = listener.previous;
}

bool task_base::is_cancelled_in_circle_with(const task_base& waiter) noexcept {
    return (is_cancel_requested() || is_cancel_due_) && loop_->seeks_circles_ && leads_to(waiter);
}

bool task_base::leads_to(const task_base& goal) noexcept {
    task_search search(++loop_->last_search_);
    search.add(*this);
    while (task_base* const task = search.take()) {
        if (task == &goal) return true;
        if (task->waits_on_) task->waits_on_->name_awaited(search);
    }
    return false;
}

void task_search::add(task_base& found) noexcept {
    if (std::exchange(found.seen_by_search_, number_) == number_) return;
    found.next_found_ = std::exchange(first_, &found);
}

task_base* task_search::take() noexcept {
    task_base* const taken = first_;
    if (taken) first_ = taken->next_found_;
    return taken;
}

void task_base::add_done_callback(std::function<void()> callback) {
    event_loop& loop = is_done() ? get_running_loop() : *loop_;
    auto listener = std::make_unique<done_callback>(loop, std::move(callback));
    if (is_done())
        done_callback::schedule(*listener.release());
    else
        listen(*listener.release());
}

void task_base::finish() noexcept {
    error_ = take_result();
    is_cancelled_ = error_ && is_cancellation(error_);
    std::exchange(root_, nullptr)->handle().destroy();
    (previous_ ? previous_->next_ : loop_->first_task_) = next_;
    (next_ ? next_->previous_ : loop_->last_task_) = previous_;
    is_done_.store(true, std::memory_order_release);
    for (done_listener* list = first_listener_; list;) {
        done_listener& listener = *list;
        list = list->next;
        listener.fire(listener);
    }
    release();
}

void task_base::require_done(const char* call) const {
    if (!is_done()) throw invalid_state_error(fmt::format("{}: {} is not done; await it first", call, name()));
}

void task_base::throw_if_failed() {
    if (!error_) return;
    mark_read();
    std::rethrow_exception(error_);
}

}  // namespace tercet::asyncio
