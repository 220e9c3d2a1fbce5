#include "asyncio/signal_callbacks.hpp"

#include "asyncio/signal_dispatch.hpp"

namespace tercet::asyncio {

class signal_callbacks::listener final : public signal_listener {
public:
    listener(event_loop& loop, int number) : loop_(loop), relay_(subscribe_to_signal(loop, number, *this)) {}
    listener(const listener&) = delete;
    listener& operator=(const listener&) = delete;
    ~listener() {
        unsubscribe(relay_);
        callback_.cancel();
    }

    void replace(handle callback, scheduled_call& call) noexcept {
        callback_.cancel();
        callback_ = std::move(callback);
        call_ = &call;
    }
    void on_signal(int) noexcept override { call_->make_ready(loop_); }

private:
    event_loop& loop_;
    signal_relay* relay_;
    handle callback_;
    scheduled_call* call_ = nullptr;
};

signal_callbacks::signal_callbacks(event_loop& loop) noexcept : loop_(loop) {}
signal_callbacks::~signal_callbacks() = default;

void signal_callbacks::add(int number, handle callback, scheduled_call& call) {
    auto found = listeners_.find(number);
    if (found == listeners_.end()) found = listeners_.emplace(number, std::make_unique<listener>(loop_, number)).first;
    found->second->replace(std::move(callback), call);
}

bool signal_callbacks::remove(int number) noexcept { return listeners_.erase(number) > 0; }

}  // namespace tercet::asyncio
