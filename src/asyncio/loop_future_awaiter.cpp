// The producer's thread reaches the awaiter through the future's state, and the loop through the inbox, to which it is
// given a reference when the awaiter is attached. After the push it touches only the inbox: the loop may have resumed
// the coroutine, and may even have ended, by then.
//
// A cancellation first detaches. If that succeeds the producer never comes; if it fails, the result is on its way
// through the inbox, and the wait goes on until it is there: the frame must not go before, and the result is delivered,
// not lost.
//
// Where the answer comes from another process, the loop takes it in by itself meanwhile (answer_watch.hpp).

#include <tercet/asyncio/event_loop.hpp>
#include <tercet/asyncio/inbox.hpp>
#include <tercet/asyncio/loop_future_awaiter.hpp>

#include "asyncio/answer_watch.hpp"

namespace tercet::asyncio {

future_wait::future_wait(future_state_base& state, when_cancelled what) noexcept
    : suspension(what == when_cancelled::join ? entry::joins : entry::refused),
      continuation(&fire_from_any_thread, kind::waiter),
      ready_node(&arrive),
      state_(state),
      when_cancelled_(what) {}

bool future_wait::begin() noexcept {
    inbox_ = &loop().inbox();
    inbox_->add_references();
    if (state_.attach(*this)) {
        loop().owe_answers(1);
        answer_watch_ = answer_watch::join(loop(), state_);
        return false;
    }
    inbox_->release();
    return true;
}

bool future_wait::abandon() noexcept {
    if (when_cancelled_ == when_cancelled::join) {
        state_.cancel();  // fires this wait when the work had not begun
        return false;
    }
    if (!state_.detach(*this)) return false;
    inbox_->release();
    end_watch();
    if (when_cancelled_ == when_cancelled::drop) {
        state_.mark_read();
        state_.cancel();
    }
    return true;
}

void future_wait::fire_from_any_thread(continuation& self) noexcept {
    auto& wait = static_cast<future_wait&>(self);
    tercet::asyncio::inbox& inbox = *wait.inbox_;
    inbox.push(wait);  // the loop does not end before its tasks, so it is open
    inbox.release();
}

void future_wait::arrive(ready_node& self, reason) noexcept {
    auto& wait = static_cast<future_wait&>(self);
    wait.end_watch();
    wait.complete();
}

/// The wait is over for the loop.
void future_wait::end_watch() noexcept {
    loop().owe_answers(-1);
    if (answer_watch_) answer_watch_->leave();
}

}  // namespace tercet::asyncio
