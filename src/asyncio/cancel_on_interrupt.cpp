#include <tercet/asyncio/cancel_on_interrupt.hpp>
#include <tercet/asyncio/event_loop.hpp>
#include <tercet/asyncio/task.hpp>

#include <csignal>

#include "asyncio/signal_dispatch.hpp"

namespace tercet::asyncio {

keyboard_interrupt::keyboard_interrupt() : std::runtime_error("interrupted by SIGINT") {}

class interrupt_watch::listener final : public signal_listener {
public:
    listener() : task_(current_task()) {
        if (!task_.valid()) throw invalid_state_error("interrupt_watch: a callback is no task");
        relay_ = subscribe_to_signal(task_.state().loop(), SIGINT, *this);
    }
    listener(const listener&) = delete;
    listener& operator=(const listener&) = delete;
    ~listener() {
        if (relay_) unsubscribe(relay_);
    }

    void on_signal(int) noexcept override {
        unsubscribe(std::exchange(relay_, nullptr));
        has_come_ = true;
        task_.state().cancel("SIGINT");
    }
    bool has_come() const noexcept { return has_come_; }

private:
    task_handle task_;
    signal_relay* relay_ = nullptr;
    bool has_come_ = false;
};

interrupt_watch::interrupt_watch() : listener_(std::make_unique<listener>()) {}
interrupt_watch::~interrupt_watch() = default;
bool interrupt_watch::has_come() const noexcept { return listener_->has_come(); }

}  // namespace tercet::asyncio
