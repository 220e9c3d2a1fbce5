#pragma once

#include <tercet/asyncio/event_loop.hpp>

#include <map>
#include <memory>

namespace tercet::asyncio {

/// The signal handlers of a loop: one callback for a signal.
class signal_callbacks {
public:
    explicit signal_callbacks(event_loop& loop) noexcept;
    signal_callbacks(const signal_callbacks&) = delete;
    signal_callbacks& operator=(const signal_callbacks&) = delete;
    ~signal_callbacks();

    void add(int number, handle callback, scheduled_call& call);
    bool remove(int number) noexcept;

private:
    class listener;

    event_loop& loop_;
    std::map<int, std::unique_ptr<listener>> listeners_;
};

}  // namespace tercet::asyncio
