#include <tercet/asyncio/from_thread.hpp>
#include <tercet/asyncio/thread_body.hpp>
#include <tercet/futures/blocking_ban.hpp>
#include <tercet/futures/errors.hpp>

namespace tercet::asyncio::from_thread {

event_loop& origin_loop() {
    event_loop* const loop = loop_of_thread::origin();
    if (!loop)
        throw invalid_state_error(
            "from_thread: this thread does not run a call of to_thread; give the loop as the first argument");
    return *loop;
}

void require_other_thread(const char* call) { blocking_ban::check(call); }

}  // namespace tercet::asyncio::from_thread
