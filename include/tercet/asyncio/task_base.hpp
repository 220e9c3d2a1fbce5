#pragma once

#include <tercet/asyncio/context.hpp>
#include <tercet/asyncio/task_options.hpp>
#include <tercet/futures/recycler.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <source_location>
#include <string>
#include <string_view>

namespace tercet::asyncio {

class cancel_scope;
class event_loop;
class inbox;
class promise_base;
class scheduled_call;
class suspension;

/// Something that happens on the loop when a task is done. Intrusive: it must stay until it has fired.
struct done_listener {
    using function = void (*)(done_listener& self) noexcept;
    explicit done_listener(function run) noexcept : fire(run) {}
    function fire;  // only makes things ready
    done_listener* previous = nullptr;
    done_listener* next = nullptr;
};

/// A task as the loop sees it: everything but its result. Reference-counted by the loop, while it runs, and by its
/// handles. The states stand in task_base.cpp.
class task_base {
public:
    task_base(const task_base&) = delete;
    task_base& operator=(const task_base&) = delete;

    static void* operator new(std::size_t size) { return allocate_block(size); }
    static void operator delete(void* block, std::size_t size) noexcept { free_block(block, size); }

    // Any thread.

    bool is_done() const noexcept { return is_done_.load(std::memory_order_acquire); }
    /// Done, by a cancellation.
    bool is_cancelled() const noexcept { return is_done() && is_cancelled_; }
    /// See `task_handle::cancel`.
    bool cancel(std::string_view message);

    void add_reference() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
    void release() noexcept;

    // The loop's thread.

    event_loop& loop() const noexcept { return *loop_; }
    /// Whether a wait that begins now would throw.
    bool is_cancel_due() const noexcept { return is_cancel_due_; }
    bool is_cancel_requested() const noexcept { return cancel_requests_ > 0; }
    /// See `task_handle::cancelling` and `task_handle::uncancel`.
    std::uint32_t cancelling() const noexcept { return cancel_requests_; }
    std::uint32_t uncancel() noexcept;
    /// What was given to `cancel`.
    std::string_view cancel_message() const noexcept {
        return texts_ && !texts_->cancel_message.empty() ? std::string_view(texts_->cancel_message) : "cancelled";
    }

    std::string name() const;
    /// Of no other task.
    std::uint64_t number() const noexcept { return number_; }
    void set_name(std::string name) { texts().name = std::move(name); }
    const std::source_location& created_at() const noexcept { return created_at_; }
    /// What the task waits for; null while it is ready or runs.
    const suspension* waits_on() const noexcept { return waits_on_; }
    task_base* next_task() const noexcept { return next_; }
    /// Its outermost coroutine; null when it is done.
    const promise_base* outermost() const noexcept { return root_; }
    /// The values of its `context_var`s.
    asyncio::context& context() noexcept { return context_; }

    /// Runs the task, which was made with `eager_start`, to its first suspension inside the call; elsewhere than on a
    /// loop that runs it begins in its turn.
    void begin_now() noexcept;

    /// Fires when the task is done, which it is not yet.
    void listen(done_listener& listener) noexcept;
    /// The task is not done, and `listener` listens.
    void stop_listening(done_listener& listener) noexcept;
    /// Whether the task is cancelled, and cannot end before `waiter`, which waits for it, lets go.
    bool is_cancelled_in_circle_with(const task_base& waiter) noexcept;
    void add_done_callback(std::function<void()> callback);

    /// The error will be or was seen: it is not reported when the task goes.
    void mark_read() noexcept { is_read_.store(true, std::memory_order_relaxed); }
    /// Throws what a done task holds instead of a value.
    void throw_if_failed();
    /// Null unless done with an error; `is_cancelled` says whether it is a cancellation.
    const std::exception_ptr& error() const noexcept { return error_; }

    /// Throws `invalid_state_error` unless done.
    void require_done(const char* call) const;

protected:
    /// With two references, for the loop and for the first handle. Queues the coroutine, unless it starts eagerly.
    task_base(event_loop& loop, promise_base& root, const task_options& options, std::source_location created_at);
    virtual ~task_base();

    promise_base& root() const noexcept { return *root_; }

private:
    friend class cancel_scope;
    friend class event_loop;
    friend class promise_base;
    friend class suspension;
    friend class task_search;

    /// What few tasks have.
    struct kept_texts {
        std::string name;
        std::string cancel_message;
    };
    kept_texts& texts() {
        if (!texts_) texts_ = std::make_unique<kept_texts>();
        return *texts_;
    }

    /// The outermost coroutine has ended: moves its result here, or returns its error.
    virtual std::exception_ptr take_result() noexcept = 0;

    void cancel_here(std::string_view message) noexcept;
    void update_cancel_due() noexcept;
    void deliver_cancel() noexcept;
    bool leads_to(const task_base& goal) noexcept;
    void finish() noexcept;

    event_loop* loop_;  // while not done
    inbox* inbox_;
    promise_base* root_;
    suspension* waits_on_ = nullptr;
    cancel_scope* innermost_ = nullptr;
    std::atomic<std::uint32_t> references_{2};
    std::uint32_t seen_by_search_ = 0;
    std::uint16_t cancel_requests_ = 0;
    std::atomic<bool> is_done_{false};
    std::atomic<bool> is_read_{false};
    bool is_cancelled_ = false;
    bool is_cancel_due_ = false;
    bool is_to_be_told_ = false;  // stands in the loop's list of cancelled tasks
    task_base* previous_ = nullptr;
    task_base* next_ = nullptr;
    task_base* next_to_tell_ = nullptr;
    done_listener* first_listener_ = nullptr;  // its `previous` is the last
    std::exception_ptr error_;
    asyncio::context context_;
    std::unique_ptr<kept_texts> texts_;
    std::uint64_t number_;
    task_base* next_found_ = nullptr;
    std::source_location created_at_;
};

/// Goes from tasks to those they wait for, to each once; without recursion, since chains may be long.
class task_search {
public:
    /// Whether tasks are meant that somebody watches, without joining them.
    enum class scope : std::uint8_t { joined, watched_too };

    /// `number` is that of no other search.
    explicit task_search(std::uint32_t number, scope meant = scope::joined) noexcept : number_(number), scope_(meant) {}
    bool includes_watched() const noexcept { return scope_ == scope::watched_too; }
    /// `found` will be taken, unless it was added before.
    void add(task_base& found) noexcept;
    /// Null at the end.
    task_base* take() noexcept;

private:
    std::uint32_t number_;
    scope scope_;
    task_base* first_ = nullptr;
};

}  // namespace tercet::asyncio
