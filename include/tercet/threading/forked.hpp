#pragma once

#include <tercet/futures/helping_thread.hpp>
#include <tercet/futures/job.hpp>
#include <tercet/futures/parker.hpp>

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <stop_token>
#include <type_traits>
#include <utility>
#include <variant>

namespace tercet::threading {

class pool_worker;
class thread_pool_executor;

/// What every `forked` call is: a job on the stack of the one who forked, and how that waits for it.
class fork_point : public job {
public:
    fork_point(const fork_point&) = delete;
    fork_point& operator=(const fork_point&) = delete;

    // The pool has it until it is over; there is nothing to free.
    void discard() noexcept final {
        fail(exception_of([] { return cancelled_error(); }));
    }
    void fail(std::exception_ptr error) noexcept final {
        error_ = std::move(error);
        publish();
    }

protected:
    fork_point() noexcept = default;
    ~fork_point() = default;

    void offer(thread_pool_executor& pool);
    /// True: the job is the caller's again, who must run it. False: it is over.
    bool take_back_or_wait() noexcept;
    /// Whoever ran the job is done with it.
    void publish() noexcept;

    std::exception_ptr error_;

private:
    static constexpr std::uint32_t running = 0;
    static constexpr std::uint32_t awaited = 1;
    static constexpr std::uint32_t over = 2;

    std::atomic<std::uint32_t> state_{running};
    pool_worker* home_ = nullptr;
    helping_thread* helper_ = nullptr;
    parker own_;
};

/// A call that may run on another thread while its maker does something else. Stays where it was made. One whose
/// function takes a `std::stop_token` gets one.
/// The destructor asks a call that was not joined to stop, and waits for it; an error of it is reported as unread.
template <class Fn>
class [[nodiscard]] forked final : private fork_point {
    static constexpr bool has_token = std::is_invocable_v<Fn&, std::stop_token>;
    using result_type =
        typename std::conditional_t<has_token, std::invoke_result<Fn&, std::stop_token>, std::invoke_result<Fn&>>::type;
    using value_type = std::conditional_t<std::is_void_v<result_type>, std::monostate, result_type>;

public:
    template <class F>
    forked(thread_pool_executor& pool, F&& fn) : fn_(std::forward<F>(fn)) {
        offer(pool);
    }
    ~forked() {
        if (is_joined_) return;
        request_stop();
        if (take_back_or_wait()) call();
        if (error_) report_unread_error(error_, "a forked call that was not joined");
    }

    /// Asks the call to stop, if it takes a `std::stop_token`. It is made nevertheless, and is to be joined as any
    /// other. Any thread, while the object is there.
    void request_stop() noexcept {
        if constexpr (has_token) stop_.request_stop();
    }

    /// Returns what the call returned, and throws what it threw; runs it here if no other thread has begun. Once, on
    /// the thread that forked.
    result_type join() {
        is_joined_ = true;
        if (take_back_or_wait()) return invoke();
        if (error_) std::rethrow_exception(error_);
        if constexpr (!std::is_void_v<result_type>) return std::move(*value_);
    }

private:
    void run(finish_observer*) noexcept override {
        call();
        publish();
    }
    void call() noexcept {
        try {
            if constexpr (std::is_void_v<result_type>)
                invoke();
            else
                value_.emplace(invoke());
        } catch (...) {
            error_ = std::current_exception();
        }
    }

    result_type invoke() {
        if constexpr (has_token)
            return std::invoke(fn_, stop_.get_token());
        else
            return std::invoke(fn_);
    }

    struct nothing {};

    Fn fn_;
    [[no_unique_address]] std::conditional_t<has_token, std::stop_source, nothing> stop_;
    bool is_joined_ = false;
    std::optional<value_type> value_;
};

}  // namespace tercet::threading
