#pragma once

#include <tercet/asyncio/handle.hpp>
#include <tercet/asyncio/inbox.hpp>
#include <tercet/asyncio/loop_clock.hpp>
#include <tercet/asyncio/loop_options.hpp>
#include <tercet/asyncio/poller.hpp>
#include <tercet/asyncio/ready_queue.hpp>
#include <tercet/asyncio/timer_queue.hpp>

#include <chrono>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <type_traits>
#include <utility>

namespace tercet::asyncio {

class answer_watch;
class blocking_threads;
class descriptor_callbacks;
class file_threads;
class promise_base;
class ready_shuffler;
class resolver;
class signal_callbacks;
class task_base;
class task_search;

/// A relative time as the loop counts it. Throws `std::invalid_argument` when it is negative or not a number; one too
/// long for the clock becomes the longest.
template <class Rep, class Period>
std::chrono::nanoseconds checked_delay(std::chrono::duration<Rep, Period> delay) {
    using wide = std::chrono::duration<long double, std::nano>;
    constexpr auto longest = std::chrono::nanoseconds::max() / 4;
    if constexpr (std::is_floating_point_v<Rep>) {
        if (std::isnan(delay.count())) throw std::invalid_argument("delay: not a number");
    }
    if (delay < delay.zero()) throw std::invalid_argument("delay: negative; zero means at once");
    if (delay == delay.zero()) return std::chrono::nanoseconds::zero();
    if (wide(delay) >= wide(longest)) return longest;
    return std::chrono::ceil<std::chrono::nanoseconds>(delay);
}

/// Runs coroutines and callbacks on one thread, and sleeps while there is nothing to do. Made by `run`; inside it,
/// `get_running_loop` finds it. Everything but `call_soon_threadsafe` belongs to the loop's own thread.
class event_loop {
public:
    using time_point = std::chrono::steady_clock::time_point;
    using exception_handler = std::function<void(const std::exception_ptr& error, std::string_view origin)>;

    /// Throws `std::system_error` when there are no descriptors left, and `std::invalid_argument` when `TERCET_LOOP`
    /// names no backend and when `options.busy_poll` is negative.
    explicit event_loop(loop_options options = {});
    event_loop(const event_loop&) = delete;
    event_loop& operator=(const event_loop&) = delete;
    /// Closes.
    ~event_loop();

    // Callbacks

    /// Calls `fn()` in one of the next turns, after what was ready before.
    template <std::invocable Fn>
    handle call_soon(Fn&& fn) {
        auto* const call = new scheduled_call_of<std::decay_t<Fn>>(std::forward<Fn>(fn));
        call->make_ready(*this);
        return handle(call);
    }
    /// Calls `fn()` after `delay`. Throws `std::invalid_argument` when it is negative or not a number.
    template <class Rep, class Period, std::invocable Fn>
    handle call_later(std::chrono::duration<Rep, Period> delay, Fn&& fn) {
        return call_at(time() + checked_delay(delay), std::forward<Fn>(fn));
    }
    /// Calls `fn()` at `when`; those of equal time in the order of the calls.
    template <std::invocable Fn>
    handle call_at(time_point when, Fn&& fn) {
        auto* const call = new scheduled_call_of<std::decay_t<Fn>>(std::forward<Fn>(fn));
        call->start_timer(*this, when);
        return handle(call);
    }
    /// Calls `fn()` on the loop's thread; calls of one thread in their order. Any thread, as long as the loop exists.
    /// Throws `invalid_state_error` when the loop has ended.
    template <std::invocable Fn>
    void call_soon_threadsafe(Fn&& fn) {
        push_threadsafe(*new scheduled_call_of<std::decay_t<Fn>>(std::forward<Fn>(fn)));
    }

    /// Calls `fn()` whenever `descriptor` can be read without waiting (level-triggered), in place of a reader that it
    /// has. The descriptor must stay open until `remove_reader`. Throws `std::system_error`, and `invalid_state_error`
    /// while a coroutine waits for it to be `readable`.
    template <std::invocable Fn>
    void add_reader(int descriptor, Fn&& fn) {
        watch(descriptor, readiness::readable, handle(new scheduled_call_of<std::decay_t<Fn>>(std::forward<Fn>(fn))));
    }
    /// The same for writing.
    template <std::invocable Fn>
    void add_writer(int descriptor, Fn&& fn) {
        watch(descriptor, readiness::writable, handle(new scheduled_call_of<std::decay_t<Fn>>(std::forward<Fn>(fn))));
    }
    /// The reader is not called any more, not even if it is due. False: there was none.
    bool remove_reader(int descriptor) { return unwatch(descriptor, readiness::readable); }
    bool remove_writer(int descriptor) { return unwatch(descriptor, readiness::writable); }

    /// What the loop sleeps in; not always what was asked for.
    loop_backend backend() const noexcept { return poller_->backend(); }
    /// Calls `fn()` from the loop, in place of a handler that the signal has, whenever the signal `number` has come
    /// since the last call; what it would do otherwise it does not. See `signal_set` for several loops, threads and
    /// forks. Throws `std::system_error` for what cannot be handled, and `std::invalid_argument` for what is no signal
    /// and for those that faults raise.
    template <std::invocable Fn>
    void add_signal_handler(int number, Fn&& fn) {
        handle_signal(number, handle(new scheduled_call_of<std::decay_t<Fn>>(std::forward<Fn>(fn))));
    }
    /// The handler is not called any more, not even if it is due; unless somebody else listens to the signal it does
    /// what it did before. False: there was none.
    bool remove_signal_handler(int number) noexcept;

    /// The loop's clock.
    time_point time() const noexcept { return clock_->now(); }

    /// Takes errors that nobody can catch: those of callbacks, and those of tasks that nobody read, each once. None, as
    /// at first, and errors of the handler itself, go to `tercet::report_unread_error`.
    void set_exception_handler(exception_handler handler) { exception_handler_ = std::move(handler); }
    /// Gives `error` to that handler; `origin` says where it comes from: "a callback of an event loop".
    void call_exception_handler(const std::exception_ptr& error, std::string_view origin) noexcept;

    // For those who build awaiters and executors

    /// Makes the loop ready to run on this thread, as `run_until_done` does before all else. Throws `std::system_error`
    /// when io_uring is refused to the thread and the loop has run on another.
    void attach() { poller_->attach(); }
    /// Runs the loop on this thread until `task`, one of its own, is done. Throws `invalid_state_error` inside a
    /// running loop.
    void run_until_done(task_base& task);
    /// Cancels the tasks that are left, runs until they have ended, and drops callbacks that are still due.
    void close() noexcept;

    void schedule(ready_node& node) noexcept { ready_.push(node); }
    timer_queue& timers() noexcept { return timers_; }
    /// How much later a sleep of `delay` may end, so that the loop wakes once for many: a thousandth, at most 1 ms.
    std::chrono::nanoseconds slack_of(std::chrono::nanoseconds delay) const noexcept;
    tercet::asyncio::inbox& inbox() noexcept { return *inbox_; }
    tercet::asyncio::resolver& resolver();
    /// The threads of `to_thread`.
    tercet::asyncio::blocking_threads& blocking_threads();
    /// Those of files, for calls that nothing can interrupt.
    tercet::asyncio::file_threads& file_threads();

    /// Watches `source` until `forget`. Throws `std::system_error`.
    void watch(io_source& source, readiness interest, trigger how);
    void rewatch(io_source& source, readiness interest, trigger how) { poller_->modify(source, interest, how); }
    void forget(io_source& source) noexcept;
    socket_calls& sockets() noexcept { return *poller_; }
    /// See `poller::owe_answers`.
    void owe_answers(int more) noexcept { poller_->owe_answers(more); }

    /// A reader or a writer that is the only one, for a coroutine. Throws as `add_reader`, and `invalid_state_error`
    /// where there is one.
    void begin_wait(int descriptor, readiness what, handle callback);
    void end_wait(int descriptor, readiness what) noexcept;

    /// False: so many waits were over at once that it is the turn of others; go through the ready queue.
    bool spend_budget() noexcept { return --budget_ > 0; }

    /// Throws `invalid_state_error` when the loop has ended.
    void require_open() const;

    /// The task that runs now; null in a callback.
    task_base* current_task() const noexcept { return current_task_; }
    /// Every task that is not done, oldest first: follow `task_base::next_task`.
    task_base* first_task() const noexcept { return first_task_; }
    /// What is ready, oldest first: follow `ready_node::next`.
    ready_node* first_ready() const noexcept { return ready_.first(); }
    /// A search through tasks and what they await; the one before has ended.
    task_search begin_search() noexcept;

private:
    friend class answer_watch;
    friend class promise_base;
    friend class task_base;
    class running;
    class wake_source;
    struct inbox_release {
        void operator()(tercet::asyncio::inbox* owned) const noexcept { owned->release(); }
    };

    void watch(int descriptor, readiness what, handle callback);
    bool unwatch(int descriptor, readiness what);
    void handle_signal(int number, handle callback);
    void push_threadsafe(scheduled_call& call);
    void run_ready(const task_base* until) noexcept;
    void poll() noexcept;
    bool poll_busily() noexcept;
    void cancel_new_tasks() noexcept;
    void end_circles() noexcept;
    void run_one_coroutine(promise_base& promise) noexcept;
    void run_eagerly(promise_base& promise) noexcept;

    /// A reference to the inbox for a task. They are taken in bulk, so that a task costs no atomic operation for it.
    void borrow_inbox() noexcept;
    void return_inbox() noexcept { ++spare_inbox_references_; }

    ready_queue ready_;
    int budget_ = 0;
    task_base* current_task_ = nullptr;
    task_base* ended_task_ = nullptr;         // its outermost coroutine has just ended
    promise_base* next_coroutine_ = nullptr;  // without symmetric transfer: resumed before anything else
    timer_queue timers_;
    std::unique_ptr<tercet::asyncio::inbox, inbox_release> inbox_;
    std::uint32_t spare_inbox_references_ = 0;
    task_base* first_task_ = nullptr;
    task_base* last_task_ = nullptr;
    std::uint64_t next_task_number_ = 1;
    std::uint64_t last_cancelled_number_ = 0;  // of a task, when the loop ends
    bool seeks_circles_ = true;                // of tasks that wait for each other, when one is cancelled
    bool may_have_circles_ = false;
    std::uint32_t last_search_ = 0;  // see task_base::leads_to
    // See task_base::deliver_cancel.
    task_base* first_to_tell_ = nullptr;
    task_base* last_to_tell_ = nullptr;
    bool is_telling_ = false;
    io_source* sources_ = nullptr;
    answer_watch* answer_watches_ = nullptr;  // of pools whose calls coroutines wait for
    bool is_closed_ = false;
    std::unique_ptr<ready_shuffler> shuffler_;  // when there is a seed
    std::unique_ptr<loop_clock> clock_;
    std::unique_ptr<poller> poller_;
    std::chrono::nanoseconds busy_poll_{0};
    bool is_time_virtual_ = false;
    std::unique_ptr<wake_source> wake_source_;
    std::unique_ptr<descriptor_callbacks> callbacks_;
    std::unique_ptr<signal_callbacks> signal_callbacks_;
    std::unique_ptr<tercet::asyncio::resolver> resolver_;
    std::unique_ptr<tercet::asyncio::blocking_threads> blocking_threads_;
    std::unique_ptr<tercet::asyncio::file_threads> file_threads_;
    exception_handler exception_handler_;
};

/// The loop that runs on this thread. Throws `invalid_state_error` when none does.
event_loop& get_running_loop();

/// The same, null when there is none.
event_loop* find_running_loop() noexcept;

}  // namespace tercet::asyncio
