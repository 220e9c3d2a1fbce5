#pragma once

#include <tercet/asyncio/context.hpp>
#include <tercet/asyncio/ready_queue.hpp>
#include <tercet/asyncio/timer_queue.hpp>
#include <tercet/futures/recycler.hpp>

#include <cstddef>
#include <cstdint>
#include <utility>

namespace tercet::asyncio {

class event_loop;

/// A callback that a loop will call, with the `context_var`s of who made it: Python's Handle and TimerHandle in one,
/// behind `handle`.
class scheduled_call : public ready_node, public timer_node {
public:
    static void* operator new(std::size_t size) { return allocate_block(size); }
    static void operator delete(void* block, std::size_t size) noexcept { free_block(block, size); }

    // The loop's thread.

    void cancel() noexcept;
    bool is_cancelled() const noexcept { return is_cancelled_; }

    /// Puts the call into the ready queue of `loop`, unless it stands there.
    void make_ready(event_loop& loop) noexcept;
    void start_timer(event_loop& loop, time_point deadline) noexcept;

    void add_reference() noexcept { ++references_; }
    void release() noexcept {
        if (--references_ == 0) delete this;
    }

protected:
    scheduled_call() noexcept : ready_node(&run), timer_node(&expire) {}
    virtual ~scheduled_call() = default;

private:
    friend class event_loop;

    virtual void invoke() = 0;

    static void run(ready_node& self, reason why) noexcept;
    static void expire(timer_node& self) noexcept;

    event_loop* loop_ = nullptr;
    context context_ = context::current();
    std::uint32_t references_ = 1;
    bool is_cancelled_ = false;
    bool is_ready_ = false;
};

template <class Fn>
class scheduled_call_of final : public scheduled_call {
public:
    template <class F>
    explicit scheduled_call_of(F&& fn) : fn_(std::forward<F>(fn)) {}

private:
    void invoke() override { fn_(); }
    Fn fn_;
};

/// Lets a callback be cancelled that was given to `call_soon`, `call_later` or `call_at`. Dropping it changes nothing.
/// The loop's thread.
class handle {
public:
    handle() noexcept = default;
    /// Takes over one reference.
    explicit handle(scheduled_call* call) noexcept : call_(call) {}
    handle(const handle& other) noexcept : call_(other.call_) {
        if (call_) call_->add_reference();
    }
    handle(handle&& other) noexcept : call_(std::exchange(other.call_, nullptr)) {}
    handle& operator=(handle other) noexcept {
        std::swap(call_, other.call_);
        return *this;
    }
    ~handle() {
        if (call_) call_->release();
    }

    /// The callback will not be called, unless it was already.
    void cancel() noexcept {
        if (call_) call_->cancel();
    }
    /// `cancel` was called, also when that was too late.
    bool cancelled() const noexcept { return call_ && call_->is_cancelled(); }

private:
    friend class event_loop;
    scheduled_call* call_ = nullptr;
};

}  // namespace tercet::asyncio
