#pragma once

#include <tercet/multiprocessing/remote_call.hpp>

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <stop_token>
#include <type_traits>
#include <utility>

namespace tercet::multiprocessing {

/// What a call in another process has cost.
struct call_statistics {
    std::chrono::nanoseconds queued{};  ///< from `submit` until the function began
    std::chrono::nanoseconds ran{};     ///< in the function
    std::chrono::nanoseconds cpu{};     ///< that the worker used meanwhile: user and system, all its threads
    std::uint64_t peak_rss_bytes = 0;   ///< the largest resident size that the worker has had so far
    std::uint64_t sent_bytes = 0;       ///< the arguments, encoded
    std::uint64_t received_bytes = 0;   ///< the result, encoded
    std::int64_t worker = 0;            ///< its pid
};

/// A result, and what it has cost. For `void` there is no `value`.
template <class T>
struct measured {
    call_statistics statistics;
    T value{};
};

template <>
struct measured<void> {
    call_statistics statistics;
};

namespace detail {

template <class T>
inline constexpr bool is_measured = false;
template <class T>
inline constexpr bool is_measured<measured<T>> = true;

/// When a call was submitted, by the one clock of all processes of a machine.
using submission_time = std::chrono::steady_clock::time_point;

/// Measures a call, from its construction to `read`. The pool fills in what is sent and received.
class call_meter {
public:
    explicit call_meter(submission_time submitted) noexcept;
    call_statistics read() const noexcept;

private:
    call_statistics so_far_;
    std::chrono::steady_clock::time_point began_;
    std::chrono::nanoseconds cpu_before_;
};

/// A function that is measured.
template <class Fn>
class measured_function {
public:
    [[no_unique_address]] Fn fn;

    template <class... Args>
        requires takes_stop_token<Fn, Args...>
    auto operator()(std::stop_token stop, submission_time submitted, Args&&... args) {
        return measure(submitted, std::move(stop), std::forward<Args>(args)...);
    }
    template <class... Args>
        requires(!takes_stop_token<Fn, Args...> && std::is_invocable_v<Fn, Args...>)
    auto operator()(submission_time submitted, Args&&... args) {
        return measure(submitted, std::forward<Args>(args)...);
    }

private:
    template <class... Args>
    auto measure(submission_time submitted, Args&&... args) {
        using result_type = std::decay_t<std::invoke_result_t<Fn, Args...>>;
        const call_meter meter(submitted);
        if constexpr (std::is_void_v<result_type>) {
            std::invoke(std::move(fn), std::forward<Args>(args)...);
            return measured<void>{meter.read()};
        } else {
            measured<result_type> result{{}, std::invoke(std::move(fn), std::forward<Args>(args)...)};
            result.statistics = meter.read();
            return result;
        }
    }
};

template <class Fn>
inline constexpr bool is_function_holder<measured_function<Fn>> = true;

}  // namespace detail

}  // namespace tercet::multiprocessing
