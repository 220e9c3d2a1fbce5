#pragma once

#include <tercet/futures/deadline_watch.hpp>
#include <tercet/futures/job.hpp>
#include <tercet/futures/submit_options.hpp>

#include <algorithm>
#include <atomic>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

namespace tercet {

/// A call with `submit_options`. It waits, runs, and is decided: by its end, by its time, or by a cancellation,
/// whichever comes first; one exchange of `phase_` says which.
template <class Fn, class... Args>
class limited_call final : public future_state<call_result_t<Fn, Args...>>, public job, public expiring {
    using result_type = call_result_t<Fn, Args...>;
    using value_type = std::conditional_t<std::is_void_v<result_type>, std::monostate, result_type>;
    static constexpr bool has_token = takes_stop_token<Fn, Args...>;
    static constexpr bool can_repeat = [] {
        if constexpr (!(std::is_copy_constructible_v<Args> && ...))
            return false;
        else if constexpr (has_token)
            return std::is_invocable_v<Fn&, std::stop_token, Args...>;
        else
            return std::is_invocable_v<Fn&, Args...>;
    }();

public:
    /// Throws `std::invalid_argument` when there are to be retries and the arguments cannot be copied.
    template <class F, class... As>
    explicit limited_call(deadline_watch& watch, submit_options options, F&& fn, As&&... args)
        : future_state<result_type>(2),
          watch_(watch),
          options_(std::move(options)),
          deadline_(options_.deadline.deadline()),
          work_(std::in_place, std::forward<F>(fn), std::tuple<Args...>(std::forward<As>(args)...)) {
        if (options_.retries != 0 && !can_repeat)
            throw std::invalid_argument(label() + ": its arguments cannot be copied, so it cannot be retried");
        if (!options_.name.empty()) name = &options_.name;
    }

    /// Before it is queued. Throws as `deadline_watch::add`.
    void watch_deadline() {
        if (!options_.deadline.is_forever()) watch_.add(deadline_, *this);
    }

    void run(finish_observer* observer) noexcept override {
        if (!options_.deadline.is_forever() && time_limit::clock::now() >= deadline_) expire();  // before the watch
        // In this order: a call that was cancelled stays one that waits, so that its time is not up a second time.
        phase expected = phase::waits;
        if (!this->start() || !phase_.compare_exchange_strong(expected, phase::runs)) {
            work_.reset();
            forget_deadline();
            return this->release();
        }
        std::optional<value_type> value;
        std::exception_ptr error;
        try {
            if (!options_.timeout.is_forever()) watch_.add(std::min(deadline_, options_.timeout.deadline()), *this);
            attempt(value, error);
        } catch (...) {
            error = std::current_exception();
        }
        work_.reset();
        forget_deadline();
        if (decide(phase::runs)) end(value, std::move(error), observer);
        this->release();
    }

    void discard() noexcept override {
        if (decide(phase::waits)) this->cancel();
        work_.reset();
        forget_deadline();
        this->release();
    }

    void fail(std::exception_ptr error) noexcept override {
        if (decide(phase::waits) && this->start()) this->finish(std::move(error));
        work_.reset();
        forget_deadline();
        this->release();
    }

    const future_state_base* result_state() const noexcept override { return this; }

    void expire() noexcept override {
        if (decide(phase::waits)) {
            if (this->start()) this->finish(timeout("had not begun in time"));
        } else if (decide(phase::runs)) {
            request_stop();
            this->finish(timeout("took longer than it may"));
        }
    }
    void add_expiring_reference() noexcept override { this->add_reference(); }
    void release_expiring() noexcept override { this->release(); }

private:
    enum class phase : unsigned char { waits, runs, decided };
    struct work {
        Fn fn;
        std::tuple<Args...> args;
    };
    struct nothing {};

    void forget_deadline() noexcept {
        if (!options_.timeout.is_forever() || !options_.deadline.is_forever()) watch_.forget(*this);
    }
    bool decide(phase from) noexcept { return phase_.compare_exchange_strong(from, phase::decided); }

    void attempt(std::optional<value_type>& value, std::exception_ptr& error) {
        for (unsigned left = options_.retries;; --left) {
            try {
                if constexpr (std::is_void_v<result_type>) {
                    invoke(left == 0);
                    value.emplace();
                } else {
                    value.emplace(invoke(left == 0));
                }
                return;
            } catch (...) {
                if (left == 0 || phase_.load() != phase::runs || is_stop_requested()) {
                    error = std::current_exception();
                    return;
                }
            }
        }
    }

    result_type invoke(bool is_last) {
        if constexpr (can_repeat)
            if (!is_last) return call_with(work_->fn, std::tuple<Args...>(work_->args));
        return call_with(std::move(work_->fn), std::move(work_->args));
    }
    template <class F>
    result_type call_with(F&& fn, std::tuple<Args...>&& args) {
        return std::apply(
            [&](Args&... each) -> result_type {
                if constexpr (has_token)
                    return std::invoke(std::forward<F>(fn), stop_.get_token(), std::move(each)...);
                else
                    return std::invoke(std::forward<F>(fn), std::move(each)...);
            },
            args);
    }

    void end(std::optional<value_type>& value, std::exception_ptr error, finish_observer* observer) noexcept {
        if (!error) {
            try {
                if constexpr (std::is_void_v<result_type>)
                    this->emplace();
                else
                    this->emplace(std::move(*value));
            } catch (...) {
                error = std::current_exception();
            }
        }
        error ? this->finish(std::move(error), observer) : this->finish(observer);
    }

    std::string label() const { return options_.name.empty() ? "submit: the call" : "'" + options_.name + "'"; }
    std::exception_ptr timeout(const char* what) const noexcept {
        return exception_of([this, what] { return timeout_error(label() + " " + what); });
    }
    bool is_stop_requested() const noexcept {
        if constexpr (has_token)
            return stop_.stop_requested();
        else
            return false;
    }
    void request_stop() noexcept override {
        if constexpr (has_token) stop_.request_stop();
    }
    const char* origin() const noexcept override { return name ? name->c_str() : "a future"; }

    deadline_watch& watch_;
    submit_options options_;
    time_limit::clock::time_point deadline_;
    std::atomic<phase> phase_{phase::waits};
    std::optional<work> work_;
    [[no_unique_address]] std::conditional_t<has_token, std::stop_source, nothing> stop_;
};

/// Packs a call with options and its future, as `make_call` does, and has its deadline watched. Throws as the
/// constructor and `deadline_watch::add`.
template <class Fn, class... Args>
auto make_limited_call(deadline_watch& watch, submit_options options, Fn&& fn, Args&&... args) {
    using packed = limited_call<std::decay_t<Fn>, std::decay_t<Args>...>;
    using state = future_state<call_result_t<Fn, Args...>>;
    struct pair {
        packed* work;
        future<call_result_t<Fn, Args...>> result;
    };
    auto* const work = new packed(watch, std::move(options), std::forward<Fn>(fn), std::forward<Args>(args)...);
    pair made{work, future<call_result_t<Fn, Args...>>(state_pointer<state>(work))};
    try {
        work->watch_deadline();
    } catch (...) {
        work->discard();
        throw;
    }
    return made;
}

}  // namespace tercet
