#pragma once

#include <tercet/asyncio/event_loop.hpp>
#include <tercet/asyncio/poller.hpp>

#include <memory>
#include <unordered_map>

namespace tercet::asyncio {

/// The readers and writers of a loop: for each descriptor up to two callbacks, registered with the poller as one.
class descriptor_callbacks {
public:
    descriptor_callbacks(event_loop& loop, poller& polled) noexcept;
    descriptor_callbacks(const descriptor_callbacks&) = delete;
    descriptor_callbacks& operator=(const descriptor_callbacks&) = delete;
    ~descriptor_callbacks();

    /// A callback of the user takes the place of another; that of a waiting coroutine does not, nor can it be replaced.
    enum class owner : unsigned char { user, wait };

    /// Throws `std::system_error`, and `invalid_state_error` where a callback must stay.
    void add(int descriptor, readiness what, owner whose, scheduled_call& callback);
    /// False: that owner has none.
    bool remove(int descriptor, readiness what, owner whose);

private:
    class watch;

    event_loop& loop_;
    poller& poller_;
    std::unordered_map<int, std::unique_ptr<watch>> watches_;
};

}  // namespace tercet::asyncio
