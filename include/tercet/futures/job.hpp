#pragma once

#include <tercet/futures/future.hpp>

#include <cstdint>
#include <functional>
#include <new>
#include <optional>
#include <stop_token>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

namespace tercet {

/// A unit of work in an executor's queue. Intrusive, and gone after `run` or `discard`, one of which is called once.
class job {
public:
    job(const job&) = delete;
    job& operator=(const job&) = delete;

    /// Does the work, unless it was cancelled, and tells `observer` when it is over.
    virtual void run(finish_observer* observer) noexcept = 0;
    /// Cancels the work.
    virtual void discard() noexcept = 0;
    /// Fails the work with `error`.
    virtual void fail(std::exception_ptr error) noexcept = 0;
    /// Where the result goes; null: there is no future.
    virtual const future_state_base* result_state() const noexcept { return nullptr; }

    /// For the executor that has it: where it stands among all that were submitted, and when that was, if somebody
    /// wants to know how long jobs wait.
    std::uint64_t sequence = 0;
    std::int64_t submitted_ns = 0;
    /// Somebody's stack waits for it, so it is no work of its own that could be cancelled.
    bool is_forked = false;
    /// For error texts; null: it has none.
    const std::string* name = nullptr;

protected:
    job() noexcept = default;
    ~job() = default;
};

/// Whether `Fn` takes a `std::stop_token` in front of its arguments.
template <class Fn, class... Args>
inline constexpr bool takes_stop_token = std::is_invocable_v<Fn, std::stop_token, Args...>;

template <class Fn, class... Args>
struct call_result : std::invoke_result<Fn, Args...> {};
template <class Fn, class... Args>
    requires takes_stop_token<Fn, Args...>
struct call_result<Fn, Args...> : std::invoke_result<Fn, std::stop_token, Args...> {
};

/// What a call of `Fn` with `Args` returns, whether or not it takes a `std::stop_token` first.
template <class Fn, class... Args>
using call_result_t = typename call_result<std::decay_t<Fn>, std::decay_t<Args>...>::type;

/// A call with its arguments, and the state of its future: one allocation for both.
template <class Fn, class... Args>
class call final : public future_state<call_result_t<Fn, Args...>>, public job {
    using result_type = call_result_t<Fn, Args...>;

public:
    template <class F, class... As>
    explicit call(F&& fn, As&&... args)
        : future_state<result_type>(2),
          work_(std::in_place, std::forward<F>(fn), std::tuple<Args...>(std::forward<As>(args)...)) {}

    void run(finish_observer* observer) noexcept override {
        if (this->start()) {
            std::exception_ptr error;
            try {
                if constexpr (std::is_void_v<result_type>) {
                    invoke();
                    this->emplace();
                } else {
                    this->emplace(invoke());
                }
            } catch (...) {
                error = std::current_exception();
            }
            work_.reset();  // what the call held is free before anyone sees the result
            error ? this->finish(std::move(error), observer) : this->finish(observer);
        } else {
            work_.reset();  // cancelled: a future that is kept must not keep what the call held
        }
        this->release();
    }

    void discard() noexcept override {
        work_.reset();
        this->cancel();
        this->release();
    }

    void fail(std::exception_ptr error) noexcept override {
        work_.reset();
        if (this->start()) this->finish(std::move(error));
        this->release();
    }

    const future_state_base* result_state() const noexcept override { return this; }

private:
    struct work {
        Fn fn;
        [[no_unique_address]] std::tuple<Args...> args;
    };
    static constexpr bool has_token = takes_stop_token<Fn, Args...>;
    struct nothing {};

    result_type invoke() {
        return std::apply(
            [this](Args&... args) -> result_type {
                if constexpr (has_token)
                    return std::invoke(std::move(work_->fn), stop_.get_token(), std::move(args)...);
                else
                    return std::invoke(std::move(work_->fn), std::move(args)...);
            },
            work_->args);
    }

    void request_stop() noexcept override {
        if constexpr (has_token) stop_.request_stop();
    }

    std::optional<work> work_;
    [[no_unique_address]] std::conditional_t<has_token, std::stop_source, nothing> stop_;
};

/// A call that nobody waits for, and that nobody can ask to stop: where it takes a `std::stop_token`, it gets one that
/// says so.
template <class Fn, class... Args>
class posted_call final : public job {
public:
    template <class F, class... As>
    explicit posted_call(F&& fn, As&&... args) : fn_(std::forward<F>(fn)), args_(std::forward<As>(args)...) {}

    static void* operator new(std::size_t size) { return allocate_block(size); }
    static void operator delete(void* block, std::size_t size) noexcept { free_block(block, size); }
    static void* operator new(std::size_t size, std::align_val_t alignment) { return ::operator new(size, alignment); }
    static void operator delete(void* block, std::size_t size, std::align_val_t alignment) noexcept {
        ::operator delete(block, size, alignment);
    }

    void run(finish_observer* observer) noexcept override {
        try {
            if constexpr (takes_stop_token<Fn, Args...>)
                std::apply(std::move(fn_), std::tuple_cat(std::tuple(std::stop_token()), std::move(args_)));
            else
                std::apply(std::move(fn_), std::move(args_));
        } catch (...) {
            report_unread_error(std::current_exception(), "a call that was posted");
        }
        if (observer) observer->work_is_over();
        delete this;
    }
    void discard() noexcept override { delete this; }
    void fail(std::exception_ptr error) noexcept override {
        report_unread_error(error, "a call that was posted");
        delete this;
    }

private:
    ~posted_call() = default;

    Fn fn_;
    [[no_unique_address]] std::tuple<Args...> args_;
};

/// Packs a call and its future, which own it together. The job must be run, discarded or failed.
template <class Fn, class... Args>
auto make_call(Fn&& fn, Args&&... args) {
    using packed = call<std::decay_t<Fn>, std::decay_t<Args>...>;
    struct pair {
        packed* work;
        future<call_result_t<Fn, Args...>> result;
    };
    auto* const work = new packed(std::forward<Fn>(fn), std::forward<Args>(args)...);
    return pair{work,
                future<call_result_t<Fn, Args...>>(state_pointer<future_state<call_result_t<Fn, Args...>>>(work))};
}

}  // namespace tercet
