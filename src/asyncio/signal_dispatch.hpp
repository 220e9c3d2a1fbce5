#pragma once

namespace tercet::asyncio {

class event_loop;
class signal_relay;

/// Something of a loop that wants to know of signals. It stays until it has unsubscribed.
class signal_listener {
public:
    signal_listener() = default;
    signal_listener(const signal_listener&) = delete;
    signal_listener& operator=(const signal_listener&) = delete;

    /// The signal `number` has come, once or more since the last call. From the ready queue of the loop.
    virtual void on_signal(int number) noexcept = 0;

protected:
    ~signal_listener() = default;
};

/// `listener` will be told of the signal `number`, on `loop`. The first subscription of a signal, in the whole
/// process, takes the place of what was to be done about it. The loop's thread. Throws `std::system_error`, and
/// `std::invalid_argument` for signals that faults raise.
signal_relay* subscribe_to_signal(event_loop& loop, int number, signal_listener& listener);

/// It is not told any more. The last subscription puts back what was to be done about the signal before.
void unsubscribe(signal_relay* relay) noexcept;

}  // namespace tercet::asyncio
