// Of several deadlines that pass in one turn, each cancels its scope. The innermost sees that it is cancelled from
// outside as well, and lets the cancellation through; the outermost that expired turns it into timeout_error.

#include <tercet/asyncio/timeout.hpp>

#include <fmt/format.h>

namespace tercet::asyncio {

deadline_scope::deadline_scope(time_point deadline)
    : timer_node(&expire), loop_(get_running_loop()), started_(loop_.time()), was_too_late_(deadline <= started_) {
    start(deadline, started_);
}

void deadline_scope::start(time_point deadline, time_point now) noexcept {
    when_ = deadline;
    if (deadline <= now)
        scope_.cancel();
    else if (deadline != time_point::max())
        loop_.timers().add(*this, deadline);
}

void deadline_scope::reschedule(time_point deadline) {
    if (expired()) throw invalid_state_error("timeout: its deadline has passed and cannot be moved");
    loop_.timers().cancel(*this);
    start(deadline, loop_.time());
}

deadline_scope::deadline_scope(time_limit limit) : deadline_scope(limit.deadline(get_running_loop().time())) {}

deadline_scope::~deadline_scope() { loop_.timers().cancel(*this); }

void deadline_scope::throw_timeout() const {
    if (scope_.is_cancelled_outside()) throw cancelled_error();
    throw timeout_error(fmt::format("timeout: not done after {:.3f} s",
                                    std::chrono::duration<double>(loop_.time() - started_).count()));
}

}  // namespace tercet::asyncio
