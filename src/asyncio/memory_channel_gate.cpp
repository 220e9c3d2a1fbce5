// Between any two calls:
//
//   somebody waits to receive    nothing is stored, and nobody waits to send
//   somebody waits to send       max_buffer_size items are stored
//   no receiver is open          nothing is stored, and nobody waits at all
//   no sender is open            nobody waits at all
//
// A send gives its item to the first who waits to receive, and not to the store; a receive takes the oldest item and
// lets the first who waits to send store its own, or, without a store, takes it from that. All in one step, so nobody
// overtakes, and an item is with a sender, in the store, or with the awaiter of a receive, which returns it.
//
// Those who wait are told by end: closing one end of several ends the waits at that end alone.

#include <tercet/asyncio/memory_channel_gate.hpp>

namespace tercet::asyncio {

/// Ends the waits at one end, those of all when `end` is zero; the others keep their order.
void memory_channel_gate::end_all(wait_list& line, end_id end, ending how) noexcept {
    wait_list others;
    while (auto* const first = static_cast<party*>(line.front())) {
        if (end != 0 && first->end_ != end) {
            line.move_first_to(others);
            continue;
        }
        first->ended_ = how;
        line.pop();
    }
    while (!others.empty()) others.move_first_to(line);
}

void memory_channel_gate::close_sender(end_id end) noexcept {
    end_all(senders_, end, ending::closed_here);
    if (--open_senders_ == 0) end_all(receivers_, 0, ending::no_senders);
}

void memory_channel_gate::close_receiver(end_id end) noexcept {
    end_all(receivers_, end, ending::closed_here);
    if (--open_receivers_ == 0) end_all(senders_, 0, ending::no_receivers);
}

void memory_channel_gate::throw_ended(ending how) {
    switch (how) {
        case ending::closed_here:
            throw closed_resource_error("memory channel: this end was closed, or moved from");
        case ending::no_receivers:
            throw broken_resource_error("memory channel: all receivers are closed; nobody will take what is sent");
        case ending::no_senders:
            throw end_of_channel("memory channel: all senders are closed, and everything was taken");
        default:
            throw would_block("memory channel: it would have to wait; await send or receive");
    }
}

}  // namespace tercet::asyncio
