#pragma once

#include <tercet/asyncio/loop_options.hpp>
#include <tercet/asyncio/socket_calls.hpp>

#include <chrono>
#include <cstdint>
#include <optional>

namespace tercet::asyncio {

/// What a descriptor is ready for. A hang-up or an error counts as both.
enum class readiness : std::uint8_t { none = 0, readable = 1, writable = 2, both = 3, hangup = 4 };

constexpr readiness operator|(readiness a, readiness b) noexcept {
    return static_cast<readiness>(static_cast<std::uint8_t>(a) | static_cast<std::uint8_t>(b));
}
constexpr bool includes(readiness all, readiness part) noexcept {
    return (static_cast<std::uint8_t>(all) & static_cast<std::uint8_t>(part)) != 0;
}

/// A descriptor that a poller watches. Intrusive: it stays where it is until it was removed.
class io_source {
public:
    explicit io_source(int descriptor) noexcept : descriptor_(descriptor) {}
    io_source(const io_source&) = delete;
    io_source& operator=(const io_source&) = delete;

    int descriptor() const noexcept { return descriptor_; }

    /// Called inside `poller::wait`. May make system calls, make things ready, and remove this source; must not run
    /// code of users, nor touch other sources.
    virtual void on_ready(readiness what) noexcept = 0;

    /// The loop ends before the source is removed; it is not watched any more.
    virtual void on_loop_end() noexcept = 0;

protected:
    ~io_source() = default;

    int descriptor_;

private:
    friend class event_loop;
    friend class poller;
    void* place_ = nullptr;  // the poller's
    io_source* previous_ = nullptr;
    io_source* next_ = nullptr;
};

/// How a source is reported: while it is ready; when it becomes ready; or when it becomes ready after one of the
/// `socket_calls` on it had to wait or gave less than was asked for; then every call on it must be one of those.
enum class trigger : std::uint8_t { level, edge, on_demand };

/// The part of a loop that sleeps and learns what happened outside. One implementation for each backend.
class poller : public socket_calls {
public:
    /// Begins to watch `source`. Throws `std::system_error`.
    virtual void add(io_source& source, readiness interest, trigger how) = 0;
    /// Changes what is watched. Throws `std::system_error`.
    virtual void modify(io_source& source, readiness interest, trigger how) = 0;
    /// Stops; a descriptor that was closed before is no error.
    virtual void remove(io_source& source) noexcept = 0;

    /// `wait` will be called on this thread from now on. Throws `std::system_error` when the thread is refused what
    /// that takes; all is as before then.
    virtual void attach() {}

    /// Waits until a source is ready, at most `limit` (none: for ever, zero: looks once), and calls `on_ready` of some
    /// that are; of others in the next calls, which do not wait then.
    virtual void wait(std::optional<std::chrono::nanoseconds> limit) noexcept = 0;

    virtual loop_backend backend() const noexcept = 0;

    /// So many more results are expected from other threads: virtual time does not jump over them.
    void owe_answers(int more) noexcept { owed_answers_ += more; }

protected:
    /// Few enough that what is received for all of them stays in the cache until it is looked at.
    static constexpr int reported_at_once = 8;

    /// What the poller knows about a source; null at first.
    static void*& place_of(io_source& source) noexcept { return source.place_; }
    int owed_answers() const noexcept { return owed_answers_; }

private:
    int owed_answers_ = 0;
};

}  // namespace tercet::asyncio
