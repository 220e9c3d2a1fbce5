#pragma once

#include <tercet/asyncio/ready_queue.hpp>
#include <tercet/asyncio/suspension.hpp>
#include <tercet/futures/continuation.hpp>
#include <tercet/futures/future.hpp>

#include <type_traits>
#include <utility>

namespace tercet::asyncio {

class answer_watch;
class inbox;

/// The wait of a coroutine for a future that another thread finishes.
class future_wait : public suspension, private continuation, private ready_node {
protected:
    /// What a cancellation of the wait means for the work.
    enum class when_cancelled : unsigned char {
        leave,  ///< nothing
        drop,   ///< nobody else can ask for the result: it is cancelled, and its error dropped
        join,   ///< it is cancelled, or asked to stop, and waited for
    };
    future_wait(future_state_base& state, when_cancelled what) noexcept;
    ~future_wait() = default;

    bool begin() noexcept override;
    bool abandon() noexcept override;

private:
    static void fire_from_any_thread(continuation& self) noexcept;
    static void arrive(ready_node& self, reason why) noexcept;
    void end_watch() noexcept;

    future_state_base& state_;
    inbox* inbox_ = nullptr;
    answer_watch* answer_watch_ = nullptr;  // where the loop itself takes the answer in
    when_cancelled when_cancelled_;
};

/// What `co_await` of a `tercet::future` or `shared_future` is in a coroutine of a loop: it resumes on the loop.
/// `co_await future` refers to the result, which stays; `co_await std::move(future)` moves it out. Throws what the work
/// threw, and `cancelled_error`. Cancel safety: a cancelled wait for an lvalue leaves the future as it was; for an
/// rvalue it also cancels the work, and drops its result if that is too late, unless the future is shared.
template <class Future>
class loop_future_awaiter final : public future_wait {
public:
    explicit loop_future_awaiter(Future&& awaited)
        : future_wait(awaited.state(), is_only_owner ? when_cancelled::drop : when_cancelled::leave),
          future_(std::forward<Future>(awaited)) {}

    bool await_ready() const { return future_.done(); }
    decltype(auto) await_resume() {
        throw_if_cancelled();
        return std::forward<Future>(future_).result();
    }

private:
    template <class T>
    static consteval bool is_shared(const shared_future<T>*) {
        return true;
    }
    static consteval bool is_shared(const void*) { return false; }
    static constexpr bool is_only_owner =
        !std::is_lvalue_reference_v<Future> && !is_shared(static_cast<std::remove_reference_t<Future>*>(nullptr));

    Future future_;
};

/// The wait for work that may refer to what belongs to the one who waits. Cancel safety: cancels the work, or asks it
/// to stop if it runs, and lasts until it has ended; a result that it has nevertheless is delivered.
template <class T>
class joined_future final : public future_wait {
public:
    explicit joined_future(future<T>&& awaited)
        : future_wait(awaited.state(), when_cancelled::join), future_(std::move(awaited)) {}

    bool await_ready() const { return future_.done(); }
    T await_resume() {
        throw_if_cancelled();
        return std::move(future_).result();
    }

private:
    future<T> future_;
};

}  // namespace tercet::asyncio
