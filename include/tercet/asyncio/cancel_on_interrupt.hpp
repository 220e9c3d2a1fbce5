#pragma once

#include <tercet/asyncio/coro.hpp>
#include <tercet/futures/errors.hpp>

#include <memory>
#include <stdexcept>
#include <utility>

namespace tercet::asyncio {

/// SIGINT has ended the work.
class keyboard_interrupt : public std::runtime_error {
public:
    keyboard_interrupt();
};

/// While it lives, the first SIGINT cancels the task that made it. The loop's thread.
class interrupt_watch {
public:
    /// Throws `invalid_state_error` outside a task, and `std::system_error`.
    interrupt_watch();
    interrupt_watch(const interrupt_watch&) = delete;
    interrupt_watch& operator=(const interrupt_watch&) = delete;
    ~interrupt_watch();

    /// SIGINT has come, and the task was cancelled by it.
    bool has_come() const noexcept;

private:
    class listener;
    std::unique_ptr<listener> listener_;
};

/// Awaits `work`, as Python's `asyncio.run` does on the main thread: the first SIGINT cancels the task, and when
/// `work` has ended by that, `keyboard_interrupt` is thrown; a result that it has nevertheless is delivered, another
/// error of it is thrown. From then on SIGINT does what it did before: the second one ends the process, unless
/// it is handled. Cancel safety: that of `work`.
///
///     run(cancel_on_interrupt(serve()));
template <class T>
coro<T> cancel_on_interrupt(coro<T> work) {
    const interrupt_watch watch;
    try {
        co_return co_await std::move(work);
    } catch (const cancelled_error&) {
        if (!watch.has_come()) throw;
    }
    throw keyboard_interrupt();
}

}  // namespace tercet::asyncio
