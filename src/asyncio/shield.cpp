// The bound only takes the shield away: work that nobody wants to cancel may take longer than that.

#include <tercet/asyncio/shield.hpp>

#include <stdexcept>

namespace tercet::asyncio {

bounded_shield::bounded_shield(time_limit bound)
    : timer_node(&expire), loop_(get_running_loop()), scope_({.shield = true}) {
    if (bound.is_forever()) throw std::invalid_argument("shield: it needs a bound, after which cancellations arrive");
    loop_.timers().add(*this, bound.deadline(loop_.time()));
}

bounded_shield::~bounded_shield() { loop_.timers().cancel(*this); }

}  // namespace tercet::asyncio
