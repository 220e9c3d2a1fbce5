// Between any two calls:
//
//   somebody waits to get   there is no item
//   somebody waits to put   there are maxsize items, or more after set_maxsize
//   it was shut down        nobody waits to put or to get
//
// To keep it so, a put gives its item to the first who waits to get, and not to the store; a get that makes room lets
// the first who waits to put store its item, in the same step. Who comes later finds no item and no room, and cannot
// overtake. A waiter that is cancelled is not in the line any more, and a put that waits has its item with it: neither
// takes nor leaves anything. An item that was given is with the awaiter of the get, which returns it.

#include <tercet/asyncio/queue_gate.hpp>
#include <tercet/futures/queue_errors.hpp>

#include <algorithm>

namespace tercet::asyncio {

bool queue_gate::join_awaiter::begin() noexcept {
    if (owner_.unfinished_ == 0) return true;
    wait_in(owner_.joiners_);
    return false;
}

void queue_gate::shut_down() noexcept {
    is_shut_down_ = true;
    for (wait_list* const line : {&getters_, &putters_})
        while (auto* const woken = static_cast<party*>(line->pop())) woken->end_by_shutdown();
}

void queue_gate::task_done(const char* queue, std::size_t count) {
    if (count > unfinished_) queue_errors::throw_too_many_done(queue);
    drop(count);
}

void queue_gate::drop(std::size_t count) noexcept {
    unfinished_ -= std::min(count, unfinished_);
    if (unfinished_ == 0) joiners_.wake_all();
}

}  // namespace tercet::asyncio
