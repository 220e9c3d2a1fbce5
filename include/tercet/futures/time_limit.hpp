#pragma once

#include <chrono>
#include <optional>
#include <type_traits>

namespace tercet {

/// How long a call may wait: a duration of any unit, or for ever. Zero means: look once, do not wait.
///
///     future.result(2s);      pool.map({.timeout = 0.5s}, fetch, urls);      future.result();
class time_limit {
public:
    using clock = std::chrono::steady_clock;

    /// No limit.
    constexpr time_limit() noexcept = default;

    /// At most `duration` from the moment at which the call begins. Throws `std::invalid_argument` when it is negative
    /// or not a number; a duration too long for the clock is no limit.
    template <class Rep, class Period>
    time_limit(std::chrono::duration<Rep, Period> duration)  // NOLINT(google-explicit-constructor): 2s is a limit
        : limit_(checked(std::chrono::duration_cast<std::chrono::duration<long double>>(duration).count())) {}

    static constexpr time_limit forever() noexcept { return {}; }

    constexpr bool is_forever() const noexcept { return limit_ == none; }

    /// The duration, or nothing when there is no limit.
    constexpr std::optional<std::chrono::nanoseconds> duration() const noexcept {
        return is_forever() ? std::nullopt : std::optional(limit_);
    }

    /// The moment at which the limit passes when the wait begins `from`; `time_point::max()` when there is none.
    clock::time_point deadline(clock::time_point from = clock::now()) const noexcept;

private:
    static constexpr std::chrono::nanoseconds none = std::chrono::nanoseconds::max();
    static std::chrono::nanoseconds checked(long double seconds);

    std::chrono::nanoseconds limit_ = none;
};

}  // namespace tercet
