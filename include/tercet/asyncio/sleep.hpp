#pragma once

#include <tercet/asyncio/event_loop.hpp>
#include <tercet/asyncio/suspension.hpp>
#include <tercet/asyncio/timer_queue.hpp>

#include <chrono>

namespace tercet::asyncio {

/// See `sleep`.
class sleep_awaiter final : public suspension, private timer_node {
public:
    explicit sleep_awaiter(std::chrono::nanoseconds delay) noexcept : timer_node(&wake, time_point(delay)) {}
    void await_resume() const { throw_if_cancelled(); }

private:
    bool begin() noexcept override;
    bool abandon() noexcept override;
    static void wake(timer_node& self) noexcept { static_cast<sleep_awaiter&>(self).complete(); }
};

/// Lets the task sleep for `delay`, not less, and up to a thousandth of it, at most 1 ms, more: so that the loop wakes
/// once for many sleepers. `sleep(0s)` lets every task that is ready run once. Throws `cancelled_error`, and
/// `std::invalid_argument` when the delay is negative or not a number. Cancel safety: nothing to lose.
template <class Rep, class Period>
[[nodiscard]] sleep_awaiter sleep(std::chrono::duration<Rep, Period> delay) {
    return sleep_awaiter(checked_delay(delay));
}

}  // namespace tercet::asyncio
