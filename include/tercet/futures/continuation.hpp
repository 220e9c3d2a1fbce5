#pragma once

namespace tercet {

/// Something that happens when a future is done: a blocked thread wakes, a coroutine becomes ready, a callback runs.
/// Intrusive: whoever waits owns the node, and keeps it alive until it has fired or has been detached.
struct alignas(16) continuation {
    using function = void (*)(continuation& self) noexcept;

    /// Waiters only wake somebody, so they fire before callbacks, which may take their time.
    enum class kind : unsigned char { waiter, callback };

    constexpr continuation(function run, kind what) noexcept : fire(run), type(what) {}

    /// Called once, by the thread that finishes the future; the node may be gone when it returns.
    function fire;
    continuation* next = nullptr;
    kind type;
};

}  // namespace tercet
