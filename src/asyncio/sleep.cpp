#include <tercet/asyncio/sleep.hpp>

namespace tercet::asyncio {

bool sleep_awaiter::begin() noexcept {
    if (delay_ == std::chrono::nanoseconds::zero())
        complete();
    else
        loop().timers().add(*this, loop().time() + delay_);
    return false;
}

bool sleep_awaiter::abandon() noexcept {
    loop().timers().cancel(*this);
    return true;
}

}  // namespace tercet::asyncio
