#pragma once

#include "message_ring.hpp"

namespace tercet::multiprocessing {

/// Says which call this process runs, so that it can be asked to stop: the pool marks its record in the ring. Null:
/// none. On the thread that runs calls.
void set_current_call(const ring_record* record) noexcept;

/// The pool has marked something: asks the call that runs to stop if that is it. Runs its stop callbacks. Any thread.
void look_whether_to_stop() noexcept;

}  // namespace tercet::multiprocessing
