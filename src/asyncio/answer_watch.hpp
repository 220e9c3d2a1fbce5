#pragma once

#include <tercet/asyncio/poller.hpp>
#include <tercet/asyncio/ready_queue.hpp>
#include <tercet/futures/answer_source.hpp>

#include <cstddef>
#include <memory>

namespace tercet {
class future_state_base;
}

namespace tercet::asyncio {

class event_loop;

/// Takes in the answers of an `answer_source` on the loop's thread, as long as coroutines of the loop wait for futures
/// of it. The loop's thread.
class answer_watch final : private io_source, private ready_node {
public:
    /// One wait more. Null: nothing is to be taken in for this future, or somebody else does it.
    static answer_watch* join(event_loop& loop, future_state_base& awaited) noexcept;
    /// One less.
    void leave() noexcept { --waits_; }
    /// Lets those go that nobody needs any more: when the loop is about to sleep, so that a coroutine that awaits call
    /// after call finds its watch still there.
    static void end_unused(event_loop& loop) noexcept;

private:
    answer_watch(event_loop& loop, std::shared_ptr<answer_source> source, int descriptor) noexcept;

    void on_ready(readiness) noexcept override;
    void on_loop_end() noexcept override;
    static void take(ready_node& self, reason why) noexcept;
    void end() noexcept;

    event_loop& loop_;
    std::shared_ptr<answer_source> source_;  // null: the watch has ended, and goes when it is not due any more
    answer_watch* next_watch_ = nullptr;     // of the loop
    std::size_t waits_ = 1;
    bool is_due_ = false;  // stands in the ready queue
};

}  // namespace tercet::asyncio
