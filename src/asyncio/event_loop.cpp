// A turn: run what is ready, at most a budget's worth; take in what other threads left and what the poller reports; let
// timers expire. What becomes ready during a turn goes to the end of the queue, so nobody is overtaken; and the budget
// bounds how long coroutines that are always ready can keep the poller waiting. The poller sleeps only when nothing is
// ready and the inbox agrees (see inbox.cpp), until the next deadline.
//
// Waits that are over at once spend the same budget: a coroutine whose every await is ready gives way to others.

#include <tercet/asyncio/context.hpp>
#include <tercet/asyncio/event_loop.hpp>
#include <tercet/asyncio/run.hpp>
#include <tercet/asyncio/task_base.hpp>
#include <tercet/futures/blocking_ban.hpp>
#include <tercet/futures/cpu_relax.hpp>
#include <tercet/futures/errors.hpp>
#include <tercet/futures/usable_cpus.hpp>

#include <algorithm>
#include <optional>

#include "asyncio/answer_watch.hpp"
#include "asyncio/backends.hpp"
#include "asyncio/blocking_threads.hpp"
#include "asyncio/descriptor_callbacks.hpp"
#include "asyncio/file_threads.hpp"
#include "asyncio/ready_shuffler.hpp"
#include "asyncio/resolver.hpp"
#include "asyncio/running_loop.hpp"
#include "asyncio/signal_callbacks.hpp"

namespace tercet::asyncio {

namespace {

constexpr int budget_of_a_turn = 256;
constexpr std::uint32_t inbox_references_at_once = 4096;
constexpr std::size_t most_blocking_threads = 32;
constexpr std::chrono::nanoseconds most_slack = std::chrono::milliseconds(1);

constinit thread_local event_loop* running_loop = nullptr;

/// Zero when it has passed, be it since ever.
std::chrono::nanoseconds time_until(event_loop::time_point deadline, event_loop::time_point now) noexcept {
    return deadline <= now ? std::chrono::nanoseconds::zero() : deadline - now;
}

}  // namespace

// Not inlined: a coroutine may be resumed on another thread than the one on which its frame last saw a thread_local.
[[gnu::noinline]] event_loop* find_running_loop() noexcept { return running_loop; }

[[gnu::noinline]] event_loop& get_running_loop() {
    if (!running_loop)
        throw invalid_state_error("no event loop runs on this thread: call this inside asyncio::run(...)");
    return *running_loop;
}

[[gnu::noinline]] void forget_running_loop() noexcept { running_loop = nullptr; }

class event_loop::running {
public:
    explicit running(event_loop& loop) noexcept : before_(std::exchange(running_loop, &loop)) {}
    running(const running&) = delete;
    running& operator=(const running&) = delete;
    ~running() { running_loop = before_; }

private:
    event_loop* before_;
    context outside_;
    const context::entered no_values_{outside_};  // tasks and callbacks bring their own
    const blocking_ban no_blocking_{
        "it would stop the event loop of this thread; write `co_await std::move(future)`, and `co_await to_thread(fn)` "
        "for a function that blocks"};
};

/// Ends the poller's sleep; the inbox is looked into after each.
class event_loop::wake_source final : public io_source {
public:
    using io_source::io_source;
    void on_ready(readiness) noexcept override {}
    void on_loop_end() noexcept override {}
};

event_loop::event_loop(loop_options options) : inbox_(new tercet::asyncio::inbox) {
    loop_parts parts = make_loop_parts(options);
    if (options.seed != 0) shuffler_ = std::make_unique<ready_shuffler>(options.seed);
    clock_ = std::move(parts.clock);
    poller_ = std::move(parts.polled);
    const std::chrono::nanoseconds busy_poll = checked_delay(options.busy_poll);
    is_time_virtual_ = poller_->backend() == loop_backend::sim;
    if (!is_time_virtual_) busy_poll_ = busy_poll;
    wake_source_ = std::make_unique<wake_source>(inbox_->wake_descriptor());
    callbacks_ = std::make_unique<descriptor_callbacks>(*this, *poller_);
    prepare_for_forks();
    poller_->add(*wake_source_, readiness::readable, trigger::edge);
}

event_loop::~event_loop() {
    close();
    inbox_->release(spare_inbox_references_);
}

void event_loop::run_until_done(task_base& task) {
    require_no_running_loop("event_loop");
    require_open();
    poller_->attach();
    const running scope(*this);
    while (true) {
        run_ready(&task);
        if (task.is_done()) break;
        poll();
    }
    answer_watch::end_unused(*this);
}

void event_loop::run_ready(const task_base* until) noexcept {
    budget_ = budget_of_a_turn;
    if (shuffler_) [[unlikely]]
        budget_ = std::min(budget_, shuffler_->shuffle(ready_));
    while (ready_node* const node = ready_.pop()) {
        node->go(*node, ready_node::reason::run);
        if (--budget_ <= 0 || (until && until->is_done())) return;
    }
}

void event_loop::poll() noexcept {
    ready_.append(inbox_->take());
    if (answer_watches_ && ready_.empty()) answer_watch::end_unused(*this);
    if (busy_poll_.count() > 0 && ready_.empty() && poll_busily()) return;
    std::optional<std::chrono::nanoseconds> limit;
    if (!ready_.empty() || !inbox_->prepare_sleep())
        limit = std::chrono::nanoseconds::zero();
    else if (!timers_.empty())
        limit = time_until(timers_.next_look(), clock_->now());
    poller_->wait(limit);
    ready_.append(inbox_->take());
    if (!timers_.empty()) timers_.expire(clock_->now());
}

/// Looks for work instead of sleeping, for a while. True: there is some.
bool event_loop::poll_busily() noexcept {
    for (const time_point begun = clock_->now(); ready_.empty(); cpu_relax()) {
        poller_->wait(std::chrono::nanoseconds::zero());
        ready_.append(inbox_->take());
        const time_point now = clock_->now();
        if (!timers_.empty()) timers_.expire(now);
        if (ready_.empty() && now - begun >= busy_poll_) return false;
    }
    return true;
}

// To look for a circle whenever one task is cancelled would take as many steps as there are tasks in a row, for each of
// them; here all are cancelled, so one look at those that are left when nothing is ready any more is enough.
void event_loop::cancel_new_tasks() noexcept {
    task_base* first = nullptr;
    for (task_base* task = last_task_; task && task->number_ > last_cancelled_number_; task = task->previous_)
        first = task;
    if (!first) return;
    last_cancelled_number_ = last_task_->number_;
    may_have_circles_ = true;
    seeks_circles_ = false;
    for (task_base* task = first; task; task = task->next_) task->cancel_here("the event loop ends");
    seeks_circles_ = true;
}

void event_loop::end_circles() noexcept {
    if (!std::exchange(may_have_circles_, false)) return;
    for (task_base* task = first_task_; task; task = task->next_)
        if (task->is_cancel_due_) task->deliver_cancel();
}

void event_loop::close() noexcept {
    if (is_closed_) return;
    try {
        poller_->attach();
    } catch (...) {  // what waits for a descriptor and cannot be cancelled waits for ever; all else ends
        report_unread_error(std::current_exception(), "an event loop that ends on another thread");
    }
    {
        const running scope(*this);
        do {
            while (first_task_) {
                cancel_new_tasks();
                run_ready(nullptr);
                cancel_new_tasks();  // those that others made on their way out
                if (ready_.empty()) end_circles();
                if (first_task_) poll();
            }
            for (ready_node* due = ready_.take(); due;) {  // callbacks of tasks that are done
                ready_node* const next = due->next;
                due->go(*due, ready_node::reason::run);
                due = next;
            }
        } while (first_task_);
        is_closed_ = true;
        while (sources_) {
            io_source& source = *sources_;
            forget(source);
            source.on_loop_end();
        }
        callbacks_.reset();
        signal_callbacks_.reset();
        ready_.append(inbox_->close());
        while (!ready_.empty() || !timers_.empty()) {  // what a callback holds may schedule others when it goes
            while (timer_node* const timer = timers_.pop())
                static_cast<scheduled_call*>(timer)->release();  // tasks have ended, so these are callbacks
            while (ready_node* const node = ready_.pop()) node->go(*node, ready_node::reason::discard);
        }
        resolver_.reset();
        file_threads_.reset();
        blocking_threads_.reset();  // calls on them that lead back into the loop were cancelled with the inbox
    }
}

std::chrono::nanoseconds event_loop::slack_of(std::chrono::nanoseconds delay) const noexcept {
    if (is_time_virtual_) return {};
    return std::min(delay / 1024, most_slack);
}

resolver& event_loop::resolver() {
    if (!resolver_) resolver_ = std::make_unique<tercet::asyncio::resolver>();
    return *resolver_;
}

file_threads& event_loop::file_threads() {
    if (!file_threads_) file_threads_ = std::make_unique<tercet::asyncio::file_threads>();
    return *file_threads_;
}

blocking_threads& event_loop::blocking_threads() {
    if (!blocking_threads_)
        blocking_threads_ = std::make_unique<tercet::asyncio::blocking_threads>(
            std::min<std::size_t>(most_blocking_threads, usable_cpus() + 4));
    return *blocking_threads_;
}

void event_loop::watch(int descriptor, readiness what, handle callback) {
    require_open();
    callbacks_->add(descriptor, what, descriptor_callbacks::owner::user, *callback.call_);
}

bool event_loop::unwatch(int descriptor, readiness what) {
    return callbacks_ && callbacks_->remove(descriptor, what, descriptor_callbacks::owner::user);
}

void event_loop::begin_wait(int descriptor, readiness what, handle callback) {
    require_open();
    callbacks_->add(descriptor, what, descriptor_callbacks::owner::wait, *callback.call_);
}

void event_loop::end_wait(int descriptor, readiness what) noexcept {
    callbacks_->remove(descriptor, what, descriptor_callbacks::owner::wait);
}

void event_loop::handle_signal(int number, handle callback) {
    if (!signal_callbacks_) signal_callbacks_ = std::make_unique<signal_callbacks>(*this);
    scheduled_call& call = *callback.call_;
    signal_callbacks_->add(number, std::move(callback), call);
}

bool event_loop::remove_signal_handler(int number) noexcept {
    return signal_callbacks_ && signal_callbacks_->remove(number);
}

void event_loop::watch(io_source& source, readiness interest, trigger how) {
    require_open();
    poller_->add(source, interest, how);
    source.previous_ = nullptr;
    source.next_ = sources_;
    if (sources_) sources_->previous_ = &source;
    sources_ = &source;
}

void event_loop::require_open() const {
    if (is_closed_) throw invalid_state_error("event_loop: it has ended");
}

void event_loop::forget(io_source& source) noexcept {
    poller_->remove(source);
    (source.previous_ ? source.previous_->next_ : sources_) = source.next_;
    if (source.next_) source.next_->previous_ = source.previous_;
}

void event_loop::push_threadsafe(scheduled_call& call) {
    call.loop_ = this;
    call.is_ready_ = true;
    if (inbox_->push(call)) return;
    call.release();
    throw invalid_state_error("call_soon_threadsafe: the event loop has ended");
}

void event_loop::call_exception_handler(const std::exception_ptr& error, std::string_view origin) noexcept {
    if (exception_handler_) {
        try {
            exception_handler_(error, origin);
            return;
        } catch (...) {
            report_unread_error(std::current_exception(), "the exception handler of an event loop");
        }
    }
    report_unread_error(error, origin);
}

task_search event_loop::begin_search() noexcept { return task_search(++last_search_, task_search::scope::watched_too); }

void event_loop::borrow_inbox() noexcept {
    if (spare_inbox_references_ == 0) {
        inbox_->add_references(inbox_references_at_once);
        spare_inbox_references_ = inbox_references_at_once;
    }
    --spare_inbox_references_;
}

}  // namespace tercet::asyncio
