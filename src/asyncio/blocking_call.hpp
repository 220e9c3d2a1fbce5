#pragma once

#include <tercet/asyncio/ready_queue.hpp>
#include <tercet/asyncio/suspension.hpp>

#include <cstdint>
#include <type_traits>
#include <utility>

namespace tercet::asyncio {

class file_threads;
class inbox;

/// A call that may block and that nothing can interrupt, made on one of the loop's threads for such calls. Cancel
/// safety: a call that has not begun does not; one that has is awaited, and its result is delivered, so what it refers
/// to may live in the coroutine.
class blocking_call : public suspension, private ready_node {
protected:
    blocking_call() noexcept : ready_node(&arrive) {}
    ~blocking_call() = default;

    /// The call itself, on another thread.
    virtual void run() noexcept = 0;

    /// To be called first when the coroutine resumes. Throws `cancelled_error`, and `std::system_error` when no thread
    /// could be started.
    void check() const;

private:
    friend class file_threads;

    bool begin() noexcept override;
    bool abandon() noexcept override;
    static void arrive(ready_node& self, reason why) noexcept;

    file_threads* threads_ = nullptr;
    inbox* inbox_ = nullptr;
    blocking_call* previous_ = nullptr;
    blocking_call* next_ = nullptr;
    int error_ = 0;
    bool is_queued_ = false;
};

/// `fn()`, which throws nothing, made there; the await gives what it returned.
template <class Fn>
class blocking_call_of final : public blocking_call {
public:
    explicit blocking_call_of(Fn fn) : fn_(std::move(fn)) {}
    std::invoke_result_t<Fn&> await_resume() const {
        check();
        return result_;
    }

private:
    void run() noexcept override { result_ = fn_(); }

    Fn fn_;
    std::invoke_result_t<Fn&> result_{};
};

}  // namespace tercet::asyncio
