#pragma once

#include <tercet/futures/continuation.hpp>
#include <tercet/futures/recycler.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>
#include <variant>

namespace tercet {

class answer_source;

/// What a thread wants to hear while it finishes a future.
class finish_observer {
public:
    /// The work is over; in a moment somebody can see the result.
    virtual void work_is_over() noexcept {}
    /// The result is out, and callbacks, which may take their time, run on this thread next; unless this returns true:
    /// then it has taken them over, a list whose first is `callbacks`, and calls `run_callbacks` elsewhere.
    virtual bool takes_over(continuation* callbacks) noexcept = 0;

protected:
    finish_observer() noexcept = default;
    ~finish_observer() = default;
};

/// What a producer and a consumer share: one atomic word (life cycle and waiters), a result, a reference count.
/// `future` and `promise` are its faces; executors embed it in their jobs. The protocol stands in future_state.cpp.
class future_state_base {
public:
    static void* operator new(std::size_t size) { return allocate_block(size); }
    static void operator delete(void* block, std::size_t size) noexcept { free_block(block, size); }
    // What is aligned more strictly than usual does not come from the recycler.
    static void* operator new(std::size_t size, std::align_val_t alignment) { return ::operator new(size, alignment); }
    static void operator delete(void* block, std::size_t size, std::align_val_t alignment) noexcept {
        ::operator delete(block, size, alignment);
    }

    future_state_base(const future_state_base&) = delete;
    future_state_base& operator=(const future_state_base&) = delete;

    // Asked by anyone, at any time.
    bool is_done() const noexcept { return (word_.load(std::memory_order_acquire) & done_bit) != 0; }
    bool is_cancelled() const noexcept { return (word_.load(std::memory_order_acquire) & cancelled_bit) != 0; }
    /// Done, with an error or cancelled. Any thread: `error`, which the last consumer may take away, is not looked at.
    bool has_failed() const noexcept {
        const std::uintptr_t word = word_.load(std::memory_order_acquire);
        return (word & done_bit) != 0 && (word & (cancelled_bit | failed_bit)) != 0;
    }
    bool is_running() const noexcept {
        return (word_.load(std::memory_order_acquire) & (running_bit | done_bit)) == running_bit;
    }

    // The consumer's side.

    /// The error of a state that is done; null when it has a result or was cancelled. Does not count as reading it.
    const std::exception_ptr& error() const noexcept { return error_; }

    /// Fires `waiter` when the state is done. False: it is done already, and `waiter` will not fire. Any thread.
    bool attach(continuation& waiter) noexcept;

    /// Takes `waiter` back. False: it has fired or is firing. When the state is finished during this call, the other
    /// continuations may fire in it. Any thread.
    bool detach(continuation& waiter) noexcept;

    /// Cancels work that has not started: true, and continuations fire. Running work is asked to stop, if it
    /// listens: false, as for work that is done. Any thread.
    bool cancel() noexcept;

    /// The error was or will be seen, so it is not reported when the state goes.
    void mark_read() noexcept { is_read_.store(true, std::memory_order_relaxed); }

    /// Lets the error go, and reports it if nobody has read it. When done, as the last consumer.
    void drop_error() noexcept;

    /// Marks as read and throws what went wrong: `cancelled_error`, or the error. To be called when done.
    void throw_if_failed();

    // The producer's side.

    /// Work begins: from here on it cannot be cancelled any more. False: it was cancelled before.
    bool start() noexcept;

    /// Publishes a result that was stored before, and fires the waiters in this call. After `start`, once.
    void finish(finish_observer* observer = nullptr) noexcept;
    void finish(std::exception_ptr error, finish_observer* observer = nullptr) noexcept;

    /// Publishes a cancellation of work that had started. Instead of `finish`.
    void finish_cancelled() noexcept;

    /// A thread is about to sleep until this is done: it may do the producer's work instead, for as long as that helps.
    /// Returns whether it is done. Any thread.
    virtual bool work_instead_of_waiting(std::chrono::steady_clock::time_point) noexcept { return false; }

    /// Where the result comes from, if an event loop can take it in; or null. Any thread.
    virtual std::shared_ptr<answer_source> answers() noexcept { return nullptr; }

    /// Runs callbacks that a `finish_observer` has taken over.
    static void run_callbacks(continuation* callbacks) noexcept;

    // References.
    void add_reference() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
    void release() noexcept;

protected:
    /// `references`: how many owners there are from the beginning.
    explicit future_state_base(std::uint32_t references = 1) noexcept : references_(references) {}
    virtual ~future_state_base() = default;

private:
    static constexpr std::uintptr_t running_bit = 1;
    static constexpr std::uintptr_t done_bit = 2;
    static constexpr std::uintptr_t cancelled_bit = 4;
    static constexpr std::uintptr_t detaching_bit = 8;
    static constexpr std::uintptr_t flag_bits = 15;
    static constexpr std::uintptr_t failed_bit = 16;  // with done_bit only, when there are no continuations

    /// `cancel` found the work running. Any thread.
    virtual void request_stop() noexcept {}
    /// Where an error came from, for the report of one that nobody read.
    virtual const char* origin() const noexcept { return "a future"; }

    void publish(std::uintptr_t flags, finish_observer* observer) noexcept;
    static void fire_all(std::uintptr_t word, finish_observer* observer = nullptr) noexcept;

    std::atomic<std::uintptr_t> word_{0};
    std::atomic<std::uint32_t> references_;
    std::atomic<bool> is_read_{false};
    std::exception_ptr error_;
};

/// A state with room for its value.
template <class T>
class future_state : public future_state_base {
    static_assert(!std::is_reference_v<T>,
                  "a future holds a value: return a pointer or a std::reference_wrapper instead");

public:
    using value_type = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

    explicit future_state(std::uint32_t references = 1) noexcept : future_state_base(references) {}
    ~future_state() override {
        if (has_value_) std::destroy_at(&value_);
    }

    /// Stores the result; `finish` publishes it.
    template <class... Args>
    void emplace(Args&&... args) {
        std::construct_at(&value_, std::forward<Args>(args)...);
        has_value_ = true;
    }

    /// The result of a state that is done without an error.
    value_type& value() noexcept { return value_; }

private:
    union {
        value_type value_;
    };
    bool has_value_ = false;
};

/// Shared ownership of a state.
template <class State>
class state_pointer {
public:
    state_pointer() noexcept = default;
    /// Takes over one reference.
    explicit state_pointer(State* state) noexcept : state_(state) {}
    template <class Other>
        requires std::is_convertible_v<Other*, State*> state_pointer(state_pointer<Other>&& other)
    noexcept : state_(other.detach()) {}  // NOLINT(google-explicit-constructor)
    state_pointer(const state_pointer& other) noexcept : state_(other.state_) {
        if (state_) state_->add_reference();
    }
    state_pointer(state_pointer&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
    state_pointer& operator=(state_pointer other) noexcept {
        std::swap(state_, other.state_);
        return *this;
    }
    ~state_pointer() {
        if (state_) state_->release();
    }

    State* get() const noexcept { return state_; }
    State* operator->() const noexcept { return state_; }
    State& operator*() const noexcept { return *state_; }
    explicit operator bool() const noexcept { return state_ != nullptr; }

    /// Gives the reference away.
    State* detach() noexcept { return std::exchange(state_, nullptr); }

private:
    State* state_ = nullptr;
};

}  // namespace tercet
