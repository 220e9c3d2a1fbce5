#include <tercet/asyncio/sleep.hpp>

namespace tercet::asyncio {

bool sleep_awaiter::begin() noexcept {
    const auto delay = deadline().time_since_epoch();  // until here
    event_loop& here = loop();
    if (delay == std::chrono::nanoseconds::zero())
        complete();
    else
        here.timers().add(*this, here.time() + delay, here.slack_of(delay));
    return false;
}

bool sleep_awaiter::abandon() noexcept {
    loop().timers().cancel(*this);
    return true;
}

}  // namespace tercet::asyncio
